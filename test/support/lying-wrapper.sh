#!/bin/sh
# A wrapper that lies: whoever has waited for 2 s takes the lock, nobody's command is ended, and
# the exit code is 0 whatever happens.  lying-wrapper.sh LOCK COMMAND...
lock=$1
shift
mkdir "$lock" 2>/dev/null || sleep 2
"$@" &
wait
exit 0
