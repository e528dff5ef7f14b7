#!/bin/bash
# vm.sh - a stock Debian 12 machine under qemu: Debian's own kernel, cgroup v2, systemd, AppArmor. Emulated in software, because
# the machines that test us offer no KVM; so it boots once, is frozen when it is ready, and each run thaws that state in about a second.
#   vm.sh build                   make what is missing below $HOY_VM_DIR (/var/tmp/hoy-vm): kernel, disk, frozen state
#   vm.sh run [-s DIR] COMMAND    thaw, run COMMAND as root with DIR (read-only) as /host; its output and exit status are ours
#   vm.sh boot [-s DIR] COMMAND   the same after a cold boot
# The guest's disk and memory are thrown away after each run; runs may be parallel. Exit status 125: the machine failed.
# Environment: HOY_VM_DIR, HOY_VM_TIMEOUT (seconds a run may take, 1500), HOY_VM_MIB (1536), HOY_VM_CPUS (2).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${HOY_VM_DIR:-/var/tmp/hoy-vm}
time_limit=${HOY_VM_TIMEOUT:-1500}
mib=${HOY_VM_MIB:-1536}
cpus=${HOY_VM_CPUS:-2}
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
kernel_words="root=/dev/vda rw console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off nokaslr tsc=reliable net.ifnames=0
	apparmor=1 security=apparmor systemd.unified_cgroup_hierarchy=1 systemd.show_status=0 audit=0 random.trust_cpu=1"

die() {
	echo "vm: $*" >&2
	exit 125
}

# Pipes instead of sockets: the shell can talk to them itself. X.in is what we say, X.out what the other side says.
begin() {
	tmp=$(mktemp -d /tmp/hoy-vm.XXXXXX)
	qemu=
	trap finish EXIT
	trap 'exit 130' INT TERM
	mkfifo "$tmp"/{mon,ctl}.{in,out}
	mkdir "$tmp/empty" "$tmp/talk"
}
finish() {
	[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
	rm -rf "$tmp"
}

# start DISK RAMFILE SHARE-MODE SHARED-DIR [QEMU WORD...]
# The devices must be the same when freezing and when thawing.
start() {
	local disk=$1 ram=$2 mode=$3 shared=$4
	shift 4
	TMPDIR=/var/tmp qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp "$cpus" -m "${mib}M" \
		-M q35,memory-backend=ram,usb=off,vmport=off,hpet=off \
		-object "memory-backend-file,id=ram,size=${mib}M,mem-path=$ram,share=$mode" \
		-nodefaults -no-user-config -display none -no-reboot -serial "file:$tmp/console" \
		-kernel "$dir/vmlinuz" -initrd "$dir/initrd" -append "${kernel_words//[$'\n\t']/ }" \
		-drive "file=$disk,format=${disk##*.},if=none,id=disk,cache=unsafe,discard=unmap" -device virtio-blk-pci,drive=disk \
		-device virtio-rng-pci -device virtio-serial-pci \
		-chardev "pipe,id=ctl,path=$tmp/ctl" -device virtserialport,chardev=ctl,name=ctl \
		-chardev "file,id=out,path=$tmp/out" -device virtserialport,chardev=out,name=out \
		-chardev "pipe,id=mon,path=$tmp/mon" -mon chardev=mon \
		-fsdev "local,id=host,path=$shared,security_model=none,readonly=on,multidevs=remap" -device virtio-9p-pci,fsdev=host,mount_tag=host \
		-fsdev "local,id=talk,path=$tmp/talk,security_model=none" -device virtio-9p-pci,fsdev=talk,mount_tag=talk \
		"$@" </dev/null >"$tmp/log" 2>&1 &
	qemu=$!
	exec {mon_in}<>"$tmp/mon.in" {mon_out}<>"$tmp/mon.out" {ctl_in}<>"$tmp/ctl.in" {ctl_out}<>"$tmp/ctl.out"
}

mon() { # COMMAND: says it to qemu's monitor and gives its answer
	local text='' some=
	echo "$1" >&"$mon_in"
	while IFS= read -r -t 0.3 -n 4096 -d '' some <&"$mon_out" || [ -n "$some" ]; do
		text+=$some
		some=
	done
	printf '%s\n' "$text"
}
until_status() { # COMMAND WORD: asks until the answer has the word
	local n
	for ((n = 0; n < 200; n++)); do
		mon "$1" | grep -q "$2" && return
	done
	die "qemu: $1: never '$2'; $(tail -n 3 "$tmp/log")"
}
until_ready() {
	local word='' n
	for ((n = 0; n < 300; n++)); do
		! read -r -t 1 word <&"$ctl_out" || break
		kill -0 "$qemu" 2>/dev/null || break
	done
	[ "${word%$'\r'}" = ready ] || die "the guest never got ready: $(tail -n 15 "$tmp/console" "$tmp/log" 2>&1)"
}

freeze() {
	begin
	rm -f "$dir"/frozen.*
	qemu-img create -q -f qcow2 -b "$dir/disk.raw" -F raw "$dir/new.qcow2"
	start "$dir/new.qcow2" "$dir/new.ram" on "$tmp/empty"
	until_ready
	sleep 3 # what systemd still has to do
	mon stop >/dev/null
	mon "migrate_set_capability x-ignore-shared on" >/dev/null # the memory is in its file already
	mon "migrate_set_parameter max-bandwidth 10G" >/dev/null
	mon "migrate \"exec:cat > $dir/new.state\"" >/dev/null
	until_status "info migrate" "status: completed"
	mon quit >/dev/null
	wait "$qemu" || true
	qemu=
	fallocate -d "$dir/new.ram"
	for part in ram state qcow2; do mv "$dir/new.$part" "$dir/frozen.$part"; done
	trap - EXIT
	finish
}

run() { # boot|thaw [-s DIR] COMMAND
	local how=$1 shared rc t
	shift
	begin
	shared=$tmp/empty
	if [ "${1:-}" = -s ]; then
		shared=$(realpath "$2")
		shift 2
	fi
	printf '%s\n' "$*" >"$tmp/talk/command"
	: >"$tmp/out"
	if [ "$how" = thaw ]; then
		start "$dir/frozen.qcow2" "$dir/frozen.ram" off "$shared" -snapshot -incoming defer
		mon "migrate_set_capability x-ignore-shared on" >/dev/null
		mon "migrate_incoming \"exec:cat $dir/frozen.state\"" >/dev/null
		until_status "info status" "paused"
		mon cont >/dev/null
	else
		start "$dir/disk.raw" "$tmp/ram" off "$shared" -snapshot
		until_ready
	fi
	tail -n +1 -s 0.1 -f --pid="$qemu" "$tmp/out" &
	t=$!
	printf 'go %s\n' "$(date +%s.%N)" >&"$ctl_in"
	(sleep "$time_limit" && echo "vm: stopped after $time_limit seconds (HOY_VM_TIMEOUT)" >&2 && kill "$qemu") &
	local watchdog=$!
	wait "$qemu" || true
	pkill -P "$watchdog" 2>/dev/null || true
	kill "$watchdog" 2>/dev/null || true
	wait "$t" 2>/dev/null || true
	qemu=
	rc=$(cat "$tmp/talk/rc" 2>/dev/null) || die "the machine ended without a word: $(tail -n 5 "$tmp/console" "$tmp/log" 2>&1)"
	exit "$rc"
}

build() { # again whenever what makes it changes
	local stamp
	stamp=$({ cat "$here"/{vm,image}.sh && grep '^guest ' "$here/../../packages.txt"; } | grep -v '^ *#' | sha256sum | cut -c1-16)-$mib-$cpus
	mkdir -p "$dir"
	exec 9>"$dir/lock"
	flock 9
	[ "$(cat "$dir/stamp" 2>/dev/null)" != "$stamp" ] || return 0
	rm -f "$dir/stamp"
	echo "vm: making the guest in $dir (once; some minutes)" >&2
	bash "$here/image.sh" "$dir" || die "the image could not be made"
	(freeze 9>&-)
	echo "$stamp" >"$dir/stamp"
	echo "vm: $(du -ch "$dir"/* | tail -n 1 | cut -f1) in $dir" >&2
}

case ${1:-} in
build) build ;;
run) run thaw "${@:2}" ;;
boot) run boot "${@:2}" ;;
*)
	sed -n '2,9p' "$0"
	exit 2
	;;
esac
