#!/bin/sh
# Makes of this process the outside of a machine that has a systemd of its own: with namespaces,
# and this host's files under a layer that is thrown away.
#
#   boot.sh FOLDER CGROUP NODE CHECKOUT SHARED     in a mount, network and UTS namespace of its own
#
# The checkout lies at /opt/stormlock there, and SHARED at /srv. Nothing of the host is changed but
# for the cgroup, whose folder whoever started this removes. FOLDER is empty, and gets the disk.
set -eu
folder=$1 cgroup=$2 node=$3 checkout=$4 shared=$5

mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root" "$folder/cgroup"

# A cgroup of its own, for systemd to make others in.
mount -t cgroup2 cgroup2 "$folder/cgroup"
mkdir "$folder/cgroup/$cgroup"
echo $$ > "$folder/cgroup/$cgroup/cgroup.procs"
umount "$folder/cgroup"

root=$folder/root
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$root"

# The host's own services are none of this machine's.
mkdir -p "$root/opt/stormlock" "$root/usr/local/bin" "$root/usr/local/lib/systemd/system"
for path in /run /tmp /dev /var/log /etc/systemd/system /usr/local/lib/systemd/system; do
  mkdir -p "$root$path"
  mount -t tmpfs -o mode=0755 tmpfs "$root$path"
done
chmod 1777 "$root/tmp"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"

# Only what a boot consists of, without what the host's packages have hung on it.
base=$root/run/base-units
mkdir "$base"
for unit in basic.target sysinit.target shutdown.target umount.target multi-user.target \
  timers.target network.target network-online.target time-sync.target \
  systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket; do
  cp "/lib/systemd/system/$unit" "$base/"
done
mkdir "$base/sysinit.target.wants"
for unit in systemd-journald.service systemd-journald.socket; do
  ln -s "../$unit" "$base/sysinit.target.wants/$unit"
done

mount --bind "$checkout" "$root/opt/stormlock"
mount --bind "$shared" "$root/srv"
rm -f "$root/usr/local/bin/node" "$root/usr/local/bin/stormlock"
touch "$root/usr/local/bin/node"
mount --bind "$node" "$root/usr/local/bin/node"
ln -s /opt/stormlock/dist/stormlock.cjs "$root/usr/local/bin/stormlock"
: > "$root/etc/machine-id"
# By its own name in the file, too: systemd goes by that, and it is the host's otherwise.
echo "$cgroup" > "$root/etc/hostname"
hostname "$cgroup"
ip link set lo up

exec unshare --cgroup --pid --fork --kill-child sh -euc '
  cd "$1"
  mount -t proc proc proc
  mount -t sysfs sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mkdir -p run/host
  pivot_root . run/host
  umount -l /run/host
  # As systemd finds it on a machine: credentials come to a service by propagation.
  mount --make-rshared /
  exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    container=stormlock-test \
    SYSTEMD_UNIT_PATH=/etc/systemd/system:/usr/local/lib/systemd/system:/run/base-units \
    /lib/systemd/systemd --system --unit=multi-user.target --show-status=0 --log-target=journal
' sh "$root"
