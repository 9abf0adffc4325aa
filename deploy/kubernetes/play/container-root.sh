#!/bin/sh
# Runs a program in a container's root, made of this machine's own programs. In a mount namespace
# of its own, as root:
#   container-root.sh ROOT USER WRITABLE NODE CHECKOUT STORMLOCK [SOURCE TARGET ro|rw]... -- PROGRAM [ARG]...
# ROOT is an empty folder; everything that is mounted there goes with the namespace. STORMLOCK is the
# single file, or empty: then NODE runs what CHECKOUT has built.
set -eu
root=$1 user=$2 writable=$3 node=$4 checkout=$5 stormlock=$6
shift 6

bind() { # SOURCE TARGET ro|rw
  if [ -d "$1" ]; then
    mkdir -p "$root$2"
  else
    mkdir -p "$(dirname "$root$2")"
    : >"$root$2"
  fi
  mount --bind "$1" "$root$2"
  if [ "$3" = ro ]; then mount -o remount,bind,ro "$root$2"; fi
}

mount --make-rprivate /
mount -t tmpfs -o mode=755 container "$root"
for folder in bin sbin lib lib64 usr; do
  if [ -L "/$folder" ]; then
    cp -P "/$folder" "$root/$folder"
  elif [ -d "/$folder" ]; then
    bind "/$folder" "/$folder" ro
  fi
done
mkdir "$root/etc" "$root/proc" "$root/dev"
cp /etc/ld.so.cache "$root/etc/"
echo 'hosts: files' >"$root/etc/nsswitch.conf"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
bind "$node" /opt/bin/node ro
bind "$checkout" /opt/stormlock ro
if [ -n "$stormlock" ]; then
  bind "$stormlock" /stormlock ro
else
  printf '#!/bin/sh\nexec /opt/bin/node /opt/stormlock/dist/stormlock.cjs "$@"\n' >"$root/stormlock"
  chmod 755 "$root/stormlock"
fi
while [ "$1" != -- ]; do
  bind "$1" "$2" "$3"
  shift 3
done
shift
if [ "$writable" = false ]; then mount -o remount,ro "$root"; fi
exec chroot "$root" setpriv --reuid="$user" --regid="$user" --clear-groups \
  --inh-caps=-all --bounding-set=-all --no-new-privs -- "$@"
