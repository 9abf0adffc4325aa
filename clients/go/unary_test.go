package stormlock

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

func TestALeaseThatIsOverBeforeItIsHandedOutIsNotHad(t *testing.T) {
	daemon := &standIn{
		acquire: func(request *pb.AcquireRequest) (*pb.AcquireResponse, error) {
			// Most of it was spent in the queue.
			return &pb.AcquireResponse{Lease: &pb.Lease{
				Resource: request.GetResource(), LeaseId: request.GetLeaseId(), FencingToken: 1,
				Ttl: durationpb.New(time.Minute), ValidFor: durationpb.New(time.Second),
			}}, nil
		},
		renew: func(*pb.RenewRequest) (*pb.RenewResponse, error) {
			return nil, refusalOf(codes.NotFound, "LEASE_LOST")
		},
	}
	client := clientOf(t, daemon.serve(t))
	grant, err := client.Acquire(context.Background(), "r", Wait(time.Second))
	if grant != nil || !errors.Is(err, ErrHeld) {
		t.Fatalf("got %v, and %v", grant, err)
	}
}

func TestWhoIsRefusedUnderOverloadComesBackLaterAndHasNothingToTakeBack(t *testing.T) {
	var asks atomic.Int32
	daemon := &standIn{acquire: func(*pb.AcquireRequest) (*pb.AcquireResponse, error) {
		asks.Add(1)
		return nil, refusalOf(codes.Unavailable, "OVERLOADED")
	}}
	client, err := Connect(Options{Servers: []string{daemon.serve(t)}, Patience: 700 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Acquire(context.Background(), "r"); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("told %v", err)
	}
	if asked, released := asks.Load(), daemon.releases.Load(); asked < 1 || asked > 3 || released > 0 {
		t.Fatalf("asked %d times, released %d times", asked, released)
	}
}

func TestWhatAListCannotReadIsToldAfterTheRest(t *testing.T) {
	daemon := &standIn{list: func(request *pb.ListRequest) (*pb.ListResponse, error) {
		if request.GetPageToken() == "" {
			return &pb.ListResponse{
				Leases:        []*pb.Lease{{Resource: "a"}},
				Unreadable:    []*pb.UnreadableResource{{Resource: "b", Message: "b is none of ours"}},
				NextPageToken: "b",
			}, nil
		}
		return &pb.ListResponse{Leases: []*pb.Lease{{Resource: "c"}}}, nil
	}}
	client := clientOf(t, daemon.serve(t))
	var told []string
	for lease, err := range client.List(context.Background(), "") {
		if err == nil {
			told = append(told, lease.Resource)
			continue
		}
		if !errors.Is(err, ErrUnavailable) {
			t.Fatalf("told %v", err)
		}
		told = append(told, err.Error())
	}
	if got := strings.Join(told, ", "); got != "a, c, b is none of ours" {
		t.Fatalf("told %s", got)
	}
}
