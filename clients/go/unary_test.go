package stormlock

import (
	"context"
	"errors"
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
