package stormlock

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

// standIn is a daemon within the test, which answers as the test says.
type standIn struct {
	pb.UnimplementedLockServiceServer
	acquire func(*pb.AcquireRequest) (*pb.AcquireResponse, error)
	renew   func(*pb.RenewRequest) (*pb.RenewResponse, error)
	list    func(*pb.ListRequest) (*pb.ListResponse, error)
	hold    func(grpc.BidiStreamingServer[pb.HoldRequest, pb.HoldResponse]) error
	// How often something was released by a call.
	releases atomic.Int32
}

// serve has it listen, and returns its address.
func (s *standIn) serve(t *testing.T) string {
	t.Helper()
	address, _ := s.serveAt(t, "127.0.0.1:0")
	return address
}

func (s *standIn) serveAt(t *testing.T, at string) (address string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterLockServiceServer(server, s)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String(), server.Stop
}

func (s *standIn) Acquire(_ context.Context, request *pb.AcquireRequest) (*pb.AcquireResponse, error) {
	return s.acquire(request)
}

func (s *standIn) Renew(_ context.Context, request *pb.RenewRequest) (*pb.RenewResponse, error) {
	return s.renew(request)
}

func (s *standIn) List(_ context.Context, request *pb.ListRequest) (*pb.ListResponse, error) {
	return s.list(request)
}

func (s *standIn) Release(context.Context, *pb.ReleaseRequest) (*pb.ReleaseResponse, error) {
	s.releases.Add(1)
	return &pb.ReleaseResponse{Outcome: pb.ReleaseOutcome_RELEASE_OUTCOME_NOT_HELD}, nil
}

func (s *standIn) Hold(stream grpc.BidiStreamingServer[pb.HoldRequest, pb.HoldResponse]) error {
	return s.hold(stream)
}

// holdStream is one that breaks after so many messages. It gives everybody everything that is free.
func holdStream(isFree bool, messages int) func(grpc.BidiStreamingServer[pb.HoldRequest, pb.HoldResponse]) error {
	return func(stream grpc.BidiStreamingServer[pb.HoldRequest, pb.HoldResponse]) error {
		seq, ttl := uint64(0), durationpb.New(10*time.Second)
		for range messages {
			message, err := stream.Recv()
			if err != nil {
				return nil
			}
			answer := &pb.HoldResponse{}
			granted := func(resource, leaseID string) {
				lease := &pb.Lease{Resource: resource, LeaseId: leaseID, FencingToken: 7, Ttl: ttl}
				answer.Kind = &pb.HoldResponse_Granted{
					Granted: &pb.Granted{Lease: lease, Seq: seq, ValidFor: ttl},
				}
			}
			switch kind := message.GetKind().(type) {
			case *pb.HoldRequest_Heartbeat:
				seq = kind.Heartbeat.GetSeq()
				ack := &pb.HeartbeatAck{Seq: seq, ValidShare: 1}
				answer.Kind = &pb.HoldResponse_HeartbeatAck{HeartbeatAck: ack}
			case *pb.HoldRequest_Acquire:
				granted(kind.Acquire.GetResource(), kind.Acquire.GetLeaseId())
				if !isFree {
					queued := &pb.Queued{Resource: kind.Acquire.GetResource(), Position: 1, Ttl: ttl}
					answer.Kind = &pb.HoldResponse_Queued{Queued: queued}
				}
			case *pb.HoldRequest_Resume:
				granted(kind.Resume.GetResource(), kind.Resume.GetLeaseId())
			case *pb.HoldRequest_Release:
				answer.Kind = &pb.HoldResponse_Released{Released: &pb.Released{
					Resource: kind.Release.GetResource(), LeaseId: kind.Release.GetLeaseId(),
					Outcome: pb.ReleaseOutcome_RELEASE_OUTCOME_RELEASED,
				}}
			}
			if err := stream.Send(answer); err != nil {
				return err
			}
		}
		return status.Error(codes.Unavailable, "cut")
	}
}

// refusalOf is a definite answer of a daemon's.
func refusalOf(code codes.Code, reason string) error {
	refusal, err := status.New(code, "the daemon says no").
		WithDetails(&errdetails.ErrorInfo{Domain: errorDomain, Reason: reason})
	if err != nil {
		return err
	}
	return refusal.Err()
}
