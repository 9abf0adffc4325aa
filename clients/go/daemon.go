package stormlock

import (
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

const (
	defaultPort = "7420"
	// What accepts a connection and never speaks is no daemon.
	connectWithin = 3 * time.Second
	// gRPC would double its pause up to two minutes: a daemon that restarts is back within one second.
	firstBackoff = 100 * time.Millisecond
	mostBackoff  = time.Second
	// A call that waits in a queue has no other sign of life. gRPC pings no more often than that.
	pingEvery  = 10 * time.Second
	pingWithin = 5 * time.Second
	// A page of the longest names with all their labels.
	mostAnswerBytes = 16 << 20
)

// daemon is the way to one address.
type daemon struct {
	address string
	target  string
	options []grpc.DialOption
	// For the unary calls. Hold streams have connections of their own: who leaves a stream because
	// nothing comes of it must not get the next one on the same frozen connection.
	conn  *grpc.ClientConn
	calls pb.LockServiceClient
}

// newDaemon connects to nothing yet.
func newDaemon(address string, tlsConfig *tls.Config) (*daemon, error) {
	target, isUnix, isLoopback, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	creds := insecure.NewCredentials()
	if tlsConfig != nil && !isUnix { // A unix socket has no TLS on the other side either.
		creds = credentials.NewTLS(tlsConfig)
	}
	d := &daemon{address: address, target: target}
	d.options = []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: firstBackoff, Multiplier: 1.6, Jitter: 0.2, MaxDelay: mostBackoff,
			},
			MinConnectTimeout: connectWithin,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingWithin}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostAnswerBytes)),
		// Who retries must keep the lease id: that is this library's affair, not gRPC's.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent("stormlock-go"),
	}
	if isLoopback { // No proxy leads to this very machine, whatever the environment says.
		d.options = append(d.options, grpc.WithNoProxy())
	}
	if d.conn, err = d.dial(); err != nil {
		return nil, invalid("servers", "server "+address+" is no address: "+err.Error())
	}
	d.calls = pb.NewLockServiceClient(d.conn)
	return d, nil
}

func (d *daemon) dial() (*grpc.ClientConn, error) { return grpc.NewClient(d.target, d.options...) }

// parseAddress reads HOST, HOST:PORT, [IPV6]:PORT or unix:/PATH.
func parseAddress(address string) (target string, isUnix, isLoopback bool, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return "", false, false, invalid("servers", "server "+address+" is no address: expected unix:/PATH of a socket")
		}
		return "unix:" + path, true, true, nil
	}
	host, port, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		host, port = strings.Trim(address, "[]"), defaultPort
	}
	_, portErr := strconv.ParseUint(port, 10, 16)
	isNamed := host != "" && !strings.ContainsAny(host, "/ ")
	if portErr != nil || !isNamed || strings.Contains(host, ":") && !strings.HasPrefix(address, "[") {
		return "", false, false, invalid("servers", "server "+address+
			" is no address: expected HOST, HOST:PORT, [IPV6]:PORT or unix:/PATH, such as 127.0.0.1:7420")
	}
	ip := net.ParseIP(host)
	isLoopback = strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
	return "dns:///" + net.JoinHostPort(host, port), false, isLoopback, nil
}
