package stormlock

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

// What stops a caller, for errors.Is. The first four are definite: they are true, and asking again
// changes nothing by itself.
var (
	// ErrHeld: somebody else holds the lock, and there was no time to wait, or no more. The Error
	// has the Holder.
	ErrHeld = errors.New("the lock is held")
	// ErrLost: this lease does not hold the lock any more.
	ErrLost = errors.New("the lease is lost")
	// ErrInvalidField: a field of what was asked is outside its limits; the Error has the Field.
	ErrInvalidField = errors.New("a field is not valid")
	// ErrNotAllowed: the daemon does not let this caller do that.
	ErrNotAllowed = errors.New("not allowed")

	// ErrUnavailable: no definite answer. What was asked may or may not have been done; to ask
	// again with the same lease id is safe.
	ErrUnavailable = errors.New("no definite answer")
	// ErrClosed: this client is closed.
	ErrClosed = errors.New("the client is closed")
	// ErrReleased is the cause with which the context of a lease ends that was released.
	ErrReleased = errors.New("the lease is released")
)

// Error is whatever stops a caller, in words that say what, which value, and what to do. errors.Is
// finds its Kind and its Cause.
type Error struct {
	// Kind is one of this package's Err values.
	Kind error
	// Message is for people.
	Message string
	// Field is the name of the field that is wrong, with ErrInvalidField, where it is known.
	Field string
	// Holder is the lease in the way, with ErrHeld, where it is known. Its LeaseID is empty.
	Holder *LeaseInfo
	// Cause is what has led to it, if anything.
	Cause error

	isUnheard    bool // Certain never to have arrived anywhere.
	isOverloaded bool // Too many ask; nothing was done.
	isFinal      bool // Asking again will not help, though the answer is not one of Stormlock's.
}

func (e *Error) Error() string { return e.Message }

// Unwrap is for errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// IsDefinite tells whether what it says is certain.
func (e *Error) IsDefinite() bool {
	return e.Kind == ErrHeld || e.Kind == ErrLost || e.Kind == ErrInvalidField || e.Kind == ErrNotAllowed
}

// The stable words of a google.rpc.ErrorInfo, whose domain is Stormlock's own.
const errorDomain = "stormlock"

var kindOfReason = map[string]error{
	"LOCK_HELD":     ErrHeld,
	"LEASE_LOST":    ErrLost,
	"INVALID_FIELD": ErrInvalidField,
	"NOT_ALLOWED":   ErrNotAllowed,
}

var kindOfDenial = map[pb.DenialReason]error{
	pb.DenialReason_DENIAL_REASON_LOCK_HELD:         ErrHeld,
	pb.DenialReason_DENIAL_REASON_LEASE_LOST:        ErrLost,
	pb.DenialReason_DENIAL_REASON_NOT_ALLOWED:       ErrNotAllowed,
	pb.DenialReason_DENIAL_REASON_INVALID_FIELD:     ErrInvalidField,
	pb.DenialReason_DENIAL_REASON_ALREADY_ON_STREAM: ErrInvalidField,
}

// fromStatus makes an Error of what gRPC has returned. A code alone proves nothing, since libraries
// and proxies make up their own: only with Stormlock's ErrorInfo is it definite.
func fromStatus(err error, address string, isUnheard bool) *Error {
	answer := status.Convert(err)
	var info *errdetails.ErrorInfo
	var holder *LeaseInfo
	for _, detail := range answer.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == errorDomain {
				info = detail
			}
		case *pb.LockHeld:
			holder = leaseInfo(detail.GetHolder())
		}
	}
	made := &Error{Kind: ErrUnavailable, Message: answer.Message(), isUnheard: isUnheard}
	if info != nil {
		if kind, ok := kindOfReason[info.GetReason()]; ok {
			made.Kind = kind
		}
		made.Field, made.Holder = info.GetMetadata()["field"], holder
		made.isOverloaded = info.GetReason() == "OVERLOADED"
		return made
	}
	made.Cause = err
	made.Message = address + ": " + strings.TrimSuffix(answer.Message(), ".")
	switch answer.Code() {
	case codes.DeadlineExceeded:
		made.Message = address + " has not answered in time"
	case codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied:
		made.isFinal = true
	}
	return made
}

// fromDenied is the same for what is denied on a Hold stream.
func fromDenied(message *pb.Denied) *Error {
	kind, ok := kindOfDenial[message.GetReason()]
	if !ok { // The store does not answer, or this client is too old for the reason.
		kind = ErrUnavailable
	}
	return &Error{Kind: kind, Message: message.GetMessage(), Holder: leaseInfo(message.GetHolder())}
}

// gaveUp: the caller's context has ended, which is the cause.
func gaveUp(ctx context.Context, what string) *Error {
	cause := context.Cause(ctx)
	return &Error{Kind: ErrUnavailable, Cause: cause, Message: what + " was given up: " + cause.Error()}
}

func closedError() *Error { return &Error{Kind: ErrClosed, Message: "this client is closed"} }

func invalid(field, message string) *Error {
	return &Error{Kind: ErrInvalidField, Field: field, Message: message}
}
