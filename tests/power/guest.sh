#!/bin/bash
# guest.sh - process 1 of the machine whose power is cut (vm.py): no systemd, for there is nothing else to do.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root HOY_BUILD=/run/host/build PYTHONDONTWRITEBYTECODE=1
for d in /tmp /var/tmp /mnt; do mount -t tmpfs tmpfs $d; done
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
modprobe -a overlay ext4
mkdir -p /mnt/power
stty -F /dev/ttyS1 raw -echo
exec python3 /run/host/tests/power/guest.py <>/dev/ttyS1 >&0 2>/dev/ttyS0
