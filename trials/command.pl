# The command of a trial: writes down every 5 ms that it lives, and so does everything that it
# starts. Each process has a file DIR/NAME.PART.PID: its token first, then moments of
# CLOCK_MONOTONIC in seconds. Perl, because it starts in 5 ms and costs next to nothing then:
# sixteen of these, with all that they start, share two cores with what they are to measure.
#
#   command.pl DIR NAME SHAPE SECONDS CODE
use strict;
use warnings;
use POSIX ();

# The least perl that Debian installs has no Time::HiRes.
my $machine = (POSIX::uname())[4];
my $clock_gettime = { x86_64 => 228, aarch64 => 113, riscv64 => 113 }->{$machine}
  // die "command.pl: what is clock_gettime's number on $machine?\n";

sub monotonic {
  my $time = "\0" x 16;
  syscall($clock_gettime, 1, $time) == 0 or exit 97;
  my ($seconds, $nanoseconds) = unpack('q q', $time);
  return $seconds + $nanoseconds / 1e9;
}

my ($dir, $name, $shape, $seconds, $code) = @ARGV;
my $ends = monotonic() + $seconds;
my $token = $ENV{STORMLOCK_FENCING_TOKEN} // $ENV{ETCD_LOCK_REV} // '';

sub live {
  my ($part) = @_;
  open(my $file, '>>', "$dir/$name.$part.$$") or exit 99;
  syswrite($file, "$token\n");
  for (;;) {
    my $now = monotonic();
    syswrite($file, sprintf("%.6f\n", $now));
    last if $now >= $ends;
    select(undef, undef, undef, 0.005);
  }
}

# A child, or a grandchild whose parent is gone at once, of this process.
sub start {
  my ($part, $is_orphan, $prepare) = @_;
  my $child = fork() // exit 98;
  if ($child != 0) {
    waitpid($child, 0) if $is_orphan;
    return;
  }
  if ($is_orphan) {
    POSIX::_exit(0) if (fork() // 1) != 0;
  }
  $prepare->();
  live($part);
  POSIX::_exit(0);
}

if ($shape eq 'stubborn') {
  $SIG{TERM} = 'IGNORE';
  start('child', 0, sub { $SIG{HUP} = 'IGNORE' });
} elsif ($shape eq 'double-fork') {
  start('grandchild', 1, sub { $SIG{HUP} = 'IGNORE' });
} elsif ($shape eq 'setsid') {
  start('grandchild', 1, sub {
    $SIG{TERM} = $SIG{HUP} = 'IGNORE';
    POSIX::setsid();
  });
}
live('root');
exit $code;
