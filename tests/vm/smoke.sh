#!/bin/bash
# smoke.sh - runs inside the guest (tests/vm/test.sh): Hoy on Debian 12's kernel with cgroup v2 under systemd, as a user would have it.
# One line per promise: ok, FAIL or skip (with its reason), and a last line that counts them. A failing promise does not end the others.
# Each is a function whose commands run under -e, so that its last word is not the only one that counts.
# shellcheck disable=SC2016,SC2046 # dollars that belong to the containers' shells; lists of ids
set -u
bin=/host/build/programs
export DOCKER_HOST=unix:///run/hoy.sock DOCKER_CONFIG=/tmp PATH=$bin:/host/peers/usr/bin:$PATH
unset XDG_RUNTIME_DIR
good=0 bad=0 skipped=0
chosen=${*:-}

title() { printf '\n== %s\n' "$*"; }
check() { # FUNCTION: its name is the promise
	local name=${1//_/ } log=/tmp/log start=$SECONDS
	case " ${chosen:-$1} " in *" $1 "*) ;; *) return ;; esac
	(
		set -e
		trap 'r=$?; [ $r = 0 ] || [ $r = 77 ] || echo "at line $LINENO: $BASH_COMMAND"' EXIT
		"$1"
	) >$log 2>&1
	case $?,$(grep -o 'not implemented by this engine yet' $log | head -n 1) in
	0,*) good=$((good + 1)) && echo "ok    $name ($((SECONDS - start)) s)" ;;
	77,* | *,not*) skipped=$((skipped + 1)) && echo "skip  $name: $(grep -v '^at line' $log | tail -n 1)" ;;
	*)
		bad=$((bad + 1))
		echo "FAIL  $name"
		sed 's/^/      | /' $log | tail -n 25
		;;
	esac
	hoy rm -f $(hoy ps -aq 2>/dev/null) >/dev/null 2>&1
}
skip() {
	echo "$*"
	exit 77
}
is() { # GOT WANTED
	[ "$1" = "$2" ] || {
		echo "got '$1' instead of '$2'"
		return 1
	}
}
has() { # TEXT PATTERN
	grep -qE -- "$2" <<<"$1" || {
		echo "no /$2/ in: $1"
		return 1
	}
}
lacks() { # TEXT PATTERN
	! grep -E -- "$2" <<<"$1"
}
within() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || {
			echo "not within time: $*"
			return 1
		}
		sleep 0.1
	done
}
pid_of() { hoy inspect -f '{{.State.Pid}}' "$1"; }
cgroup_of() { echo "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(pid_of "$1")/cgroup")"; }
limit() { cat "$(cgroup_of "$1")/$2"; }

# ---- the machine ----
this_is_cgroup_v2_with_all_controllers() {
	is "$(stat -fc %T /sys/fs/cgroup)" cgroup2fs
	for c in cpu cpuset io memory pids hugetlb; do has "$(cat /sys/fs/cgroup/cgroup.controllers)" "\b$c\b"; done
}
the_unit_of_contrib_starts_hoyd() {
	sed "s|^ExecStart=.*|ExecStart=$bin/hoyd -H $DOCKER_HOST|" /host/build/contrib/hoyd.service >/run/systemd/system/hoyd.service
	systemctl daemon-reload
	systemctl start hoyd
	within 30 hoy version
	systemctl show -p KillMode hoyd | grep -qx KillMode=process
	systemctl show -p Delegate hoyd | grep -qx Delegate=yes
}
load_stack() { # NAME LAYERS: busybox, a layer with a deletion, and layers that differ in one file
	local i ids='' names='' t=/tmp/stack
	rm -rf $t && mkdir $t
	for i in $(seq "$2"); do
		if [ "$i" -le 2 ]; then
			cp "/tmp/$i.tar" "$t/$i.tar"
		else
			echo "$i" >"/tmp/n$i"
			tar -C /tmp -cf "$t/$i.tar" "n$i"
		fi
		ids="$ids${ids:+,}\"sha256:$(sha256sum "$t/$i.tar" | cut -d' ' -f1)\""
		names="$names${names:+,}\"$i.tar\""
	done
	echo "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Env\":[\"PATH=/bin\"],\"Cmd\":[\"sh\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[$ids]}}" >$t/config.json
	echo "[{\"Config\":\"config.json\",\"RepoTags\":[\"$1:latest\"],\"Layers\":[$names]}]" >$t/manifest.json
	tar -C $t -c . | hoy load
}
busybox_is_imported() {
	local r=/tmp/r a
	mkdir -p $r/{bin,etc,tmp,root,proc,sys,dev}
	cp /bin/busybox $r/bin/
	for a in $(/bin/busybox --list); do [ "$a" = busybox ] || ln -f $r/bin/busybox "$r/bin/$a"; done
	echo root:x:0:0:root:/root:/bin/sh >$r/etc/passwd
	echo root:x:0: >$r/etc/group
	tar -C $r -c . | hoy import -c 'CMD ["sh"]' -c 'ENV PATH=/bin' - bb >/dev/null
	hoy images | grep -q '^bb '
}
# The first two layers have what a stack of overlays must merge; the others make the list of lower layers long.
layers_are_loaded() {
	rm -rf /tmp/l && mkdir -p /tmp/l/etc /tmp/l/bin
	echo two >/tmp/l/layer
	: >/tmp/l/etc/.wh.group
	tar -C /tmp/r -cf /tmp/1.tar .
	tar -C /tmp/l -cf /tmp/2.tar .
	load_stack bb2 2
	load_stack bb20 20
}
info_says_version_2() {
	is "$(hoy info -f '{{.CgroupVersion}}')" 2
	is "$(hoy info -f '{{.CgroupDriver}}')" cgroupfs
	has "$(hoy info -f '{{.SecurityOptions}}')" 'name=seccomp.*name=cgroupns'
	has "$(hoy info -f '{{.KernelVersion}}')" '^6\.1\.'
}

# ---- containers ----
run_attached() {
	is "$(hoy run --rm bb echo hello)" hello
	local rc=0
	hoy run --rm bb sh -c 'exit 42' || rc=$?
	is $rc 42
	is "$(echo in | hoy run --rm -i bb cat)" in
}
overlay_of_two_layers_without_lowerdir_plus() {
	is "$(hoy run --rm bb2 cat /layer)" two
	is "$(hoy run --rm bb2 sh -c 'ls /etc/group 2>&1 | wc -l; echo x >/layer; cat /layer' | tail -n 1)" x
	hoy run --rm bb2 sh -c '! ls /etc/group 2>/dev/null'
	has "$(hoy run --rm bb2 cat /proc/mounts)" '^overlay / overlay rw'
}
overlay_of_twenty_layers() {
	is "$(hoy run --rm bb20 cat /layer /n20)" "two
20"
}
detached_exec_logs_stop() {
	hoy run -d --name d1 bb sh -c 'echo started; trap "echo bye; exit 3" TERM; while :; do sleep 0.2; done' >/dev/null
	within 20 sh -c 'hoy logs d1 | grep -q started'
	is "$(hoy exec d1 sh -c 'echo $((6 * 7))')" 42
	local rc=0
	hoy exec d1 sh -c 'exit 9' || rc=$?
	is $rc 9
	hoy stop -t 30 d1
	is "$(hoy inspect -f '{{.State.Status}} {{.State.ExitCode}}' d1)" "exited 3"
	has "$(hoy logs d1)" bye
}
exec_is_in_the_containers_cgroup() {
	hoy run -d --name d1 bb sleep 1000 >/dev/null
	hoy exec -d d1 sleep 999
	within 10 sh -c "[ \$(wc -l <$(cgroup_of d1)/cgroup.procs) = 2 ]"
}
pause_and_unpause() {
	hoy run -d --name p1 bb sh -c 'while :; do echo x; sleep 0.1; done' >/dev/null
	hoy pause p1
	is "$(hoy inspect -f '{{.State.Status}}' p1)" paused
	is "$(limit p1 cgroup.freeze)" 1
	local n
	n=$(hoy logs p1 | wc -l)
	sleep 1
	is "$(hoy logs p1 | wc -l)" "$n"
	hoy unpause p1
	is "$(limit p1 cgroup.freeze)" 0
	within 10 sh -c "[ \$(hoy logs p1 | wc -l) -gt $n ]"
	hoy pause p1
	hoy kill p1 # v2: SIGKILL reaches frozen processes
	within 10 sh -c '[ $(hoy inspect -f "{{.State.Status}}" p1) = exited ]'
}
a_private_cgroup_namespace() {
	hoy run -d --name n1 bb sleep 1000 >/dev/null
	is "$(hoy inspect -f '{{.HostConfig.CgroupnsMode}}' n1)" private
	[ "$(readlink "/proc/$(pid_of n1)/ns/cgroup")" != "$(readlink /proc/self/ns/cgroup)" ]
	is "$(hoy exec n1 cat /proc/self/cgroup)" 0::/
	has "$(hoy exec n1 cat /proc/mounts)" ' /sys/fs/cgroup cgroup2 ro,'
	has "$(hoy exec n1 ls /sys/fs/cgroup)" memory.max
	hoy run -d --name h1 --cgroupns host bb sleep 1000 >/dev/null
	is "$(readlink "/proc/$(pid_of h1)/ns/cgroup")" "$(readlink /proc/self/ns/cgroup)"
	has "$(hoy exec h1 cat /proc/self/cgroup)" '^0::/docker/[0-9a-f]{64}$'
}

# ---- limits ----
limits_are_in_the_files() {
	hoy run -d --name l1 --memory 64m --memory-swap 96m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 --cpuset-cpus 1 \
		--pids-limit 99 bb sleep 1000 >/dev/null
	is "$(limit l1 memory.max)" $((64 << 20))
	is "$(limit l1 memory.swap.max)" $((32 << 20))
	is "$(limit l1 memory.low)" $((32 << 20))
	is "$(limit l1 cpu.max)" "50000 100000"
	is "$(limit l1 cpu.weight)" 20
	is "$(limit l1 cpuset.cpus)" 1
	is "$(limit l1 cpuset.cpus.effective)" 1
	is "$(limit l1 pids.max)" 99
	hoy update --memory 48m --memory-swap 48m --cpus 1.5 --pids-limit 50 l1 >/dev/null
	is "$(limit l1 memory.max) $(limit l1 memory.swap.max) $(limit l1 pids.max)" "$((48 << 20)) 0 50"
	is "$(limit l1 cpu.max)" "150000 100000"
}
memory_limit_kills_with_137() {
	local rc=0
	hoy run --name m1 --memory 16m --memory-swap 16m bb sh -c 'exec tail /dev/zero' || rc=$?
	is $rc 137
	is "$(hoy inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' m1)" "true 137"
}
a_killed_child_is_reported_too() { # its parent lives on
	hoy run --name m1 --memory 16m --memory-swap 16m bb sh -c 'tail /dev/zero; exit 5' || is $? 5
	is "$(hoy inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' m1)" "true 5"
}
pids_limit_bites() {
	has "$(hoy run --rm --pids-limit 8 bb sh -c 'for i in $(seq 20); do sleep 5 & done; echo through' 2>&1 || true)" "can't fork"
}
cpu_limit_throttles() {
	hoy run -d --name c1 --cpus 0.2 bb sh -c 'while :; do :; done' >/dev/null
	within 10 sh -c "grep -q 'nr_throttled [1-9]' $(cgroup_of c1)/cpu.stat"
}
io_limit_is_set_and_throttles() {
	[ -b /dev/vda ] || skip "no /dev/vda"
	hoy run -d --name i1 --device-write-bps /dev/vda:1mb -v /var/tmp:/t bb sleep 1000 >/dev/null
	is "$(limit i1 io.max)" "$(cat /sys/block/vda/dev) rbps=max wbps=1048576 riops=max wiops=max"
	local start=$SECONDS
	hoy exec i1 dd if=/dev/zero of=/t/io bs=1M count=4 conv=fsync
	[ $((SECONDS - start)) -ge 3 ]
	rm -f /var/tmp/io
}
stats_has_figures() {
	hoy run -d --name s1 --memory 64m bb sh -c 'while :; do :; done' >/dev/null
	sleep 1
	local out
	out=$(hoy stats --no-stream --format '{{.CPUPerc}} {{.MemUsage}} {{.PIDs}}' s1)
	has "$out" '^[1-9][0-9.]*% .*/ 64MiB [1-9]'
}
devices_that_were_not_given_are_refused() { # by an eBPF program; mknod itself is allowed, as with Docker
	local out number
	number=$(tr : ' ' </sys/block/vda/dev)
	out=$(hoy run --rm bb sh -c "mknod /tmp/disk b $number && head -c 1 /tmp/disk" 2>&1 || true)
	has "$out" 'Operation not permitted'
	hoy run --rm bb sh -c 'echo x >/dev/null; head -c 4 /dev/zero >/dev/null; head -c 4 /dev/urandom >/dev/null'
	out=$(hoy run --rm --device-cgroup-rule "b ${number/ /:} r" bb \
		sh -c "mknod /tmp/disk b $number; head -c 1 /tmp/disk >/dev/null && echo read; echo x >>/tmp/disk" 2>&1 || true)
	has "$out" '^read$'
	has "$out" 'Operation not permitted'
	is "$(hoy run --rm --device /dev/vda:/dev/disk:r bb sh -c 'head -c 1 /dev/disk >/dev/null && echo read')" read
}
privileged_has_devices_and_a_writable_cgroup() {
	is "$(hoy run --rm --privileged bb sh -c '[ -b /dev/vda ] && head -c 1 /dev/vda >/dev/null && echo read')" read
	hoy run --rm --privileged --cgroupns private bb mkdir /sys/fs/cgroup/x
}
a_fork_bomb_is_gone_after_rm() {
	hoy run -d --name f1 --pids-limit 60 bb sh -c '(while :; do sleep 999 & done) 2>/dev/null; sleep 1000' >/dev/null
	within 20 sh -c "[ \$(wc -l <$(cgroup_of f1)/cgroup.procs) -gt 20 ]"
	local g
	g=$(cgroup_of f1)
	hoy rm -f f1 >/dev/null
	[ ! -e "$g" ]
	lacks "$(pgrep -a -x -f 'sleep 999' || true)" sleep
}

# ---- network: nftables of 6.1 ----
a_published_port() {
	hoy run -d --name w1 -p 8080:80 bb sh -c 'mkdir /www; echo page >/www/index.html; exec httpd -f -p 80 -h /www' >/dev/null
	within 20 curl -sf http://127.0.0.1:8080/
	is "$(curl -s http://127.0.0.1:8080/)" page
	has "$(hoy port w1)" '80/tcp -> 0.0.0.0:8080'
	nft list ruleset | grep -q 8080
	is "$(hoy run --rm bb wget -qO- "http://$(hoy inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' w1)/")" page
	hoy rm -f w1 >/dev/null
	lacks "$(nft list ruleset)" 8080
}
has_network_create() {
	local said
	said=$(hoy network create probe 2>&1) || case $said in
	*'unknown command'* | *'not implemented'*) skip "this hoy cannot create networks yet" ;;
	*) echo "$said" && return 1 ;;
	esac
	hoy network rm probe >/dev/null
}
names_on_a_network_of_ones_own() {
	has_network_create
	hoy network create front >/dev/null
	hoy run -d --name web --network front bb httpd -f -p 80 >/dev/null
	hoy run --rm --network front bb ping -c 1 web
	hoy rm -f web >/dev/null
	hoy network rm front
}
macvlan_network() {
	has_network_create
	ip link add uplink type dummy && ip link set uplink up
	hoy network create -d macvlan -o parent=uplink --subnet 198.51.100.0/24 mac >/dev/null || {
		ip link del uplink
		return 1
	}
	has "$(hoy run --rm --network mac bb ip addr)" 'inet 198\.51\.100\.'
	hoy network rm mac
	ip link del uplink
}

# ---- hoyd and systemd ----
kill_9_and_finding_again() {
	hoy run -d --name k1 --memory 64m bb sh -c 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.2; done' >/dev/null
	local pid main
	pid=$(pid_of k1)
	main=$(systemctl show -p MainPID --value hoyd)
	kill -9 "$main"
	within 30 sh -c "m=\$(systemctl show -p MainPID --value hoyd); [ \$m != 0 ] && [ \$m != $main ]"
	within 30 hoy version
	is "$(pid_of k1) $(hoy inspect -f '{{.State.Status}}' k1)" "$pid running"
	local n
	n=$(hoy logs k1 | wc -l)
	within 10 sh -c "[ \$(hoy logs k1 | wc -l) -gt $n ]"
	is "$(hoy exec k1 echo alive)" alive
	is "$(limit k1 memory.max)" $((64 << 20))
	is "$(limit k1 pids.max) $(cat /sys/fs/cgroup/system.slice/hoyd.service/cgroup.type)" "max domain"
}
stopping_the_unit_leaves_containers() {
	hoy run -d --name v1 bb sleep 1000 >/dev/null
	local pid
	pid=$(pid_of v1)
	systemctl stop hoyd
	kill -0 "$pid"
	sleep 8 # u1 ends and is started again, by its shim
	systemctl start hoyd
	within 30 hoy version
	is "$(pid_of v1)" "$pid"
	hoy stop -t 1 v1
	is "$(hoy inspect -f '{{.State.Status}}' v1)" exited
}
a_restart_policy_works_without_hoyd() {
	hoy run -d --name u1 --restart always bb sh -c 'sleep 4; exit 1' 2>&1 >/dev/null |
		grep 'not acted upon' && skip "this hoyd keeps restart policies without acting upon them"
	systemctl stop hoyd
	sleep 8
	systemctl start hoyd
	within 30 hoy version
	[ "$(hoy inspect -f '{{.RestartCount}}' u1)" -ge 1 ]
}
daemon_reload_keeps_limits() { # systemd rewrites what it thinks is its own
	hoy run -d --name r1 --memory 64m --cpuset-cpus 0 --cpus 0.5 bb sleep 1000 >/dev/null
	systemctl daemon-reload
	systemctl restart dbus 2>/dev/null || true
	systemctl restart hoyd
	within 30 hoy version
	is "$(limit r1 memory.max) $(limit r1 cpuset.cpus) $(limit r1 cpu.max)" "$((64 << 20)) 0 50000 100000"
}
nothing_is_left_in_the_cgroup_tree() {
	sleep 1
	is "$(find /sys/fs/cgroup/docker -mindepth 1 -type d 2>/dev/null | wc -l)" 0
}

# ---- the OCI runtime ----
the_runtime_on_cgroup_v2() {
	local b=/tmp/bundle
	mkdir -p $b/rootfs
	cp -al /tmp/r/. $b/rootfs/
	cd $b
	hoy-runtime spec
	sed -i 's/"terminal": *true/"terminal": false/; s/"sh"$/"sh", "-c", "cat \/proc\/self\/cgroup; exit 7"/' config.json
	local rc=0
	hoy-runtime run smoke >/tmp/runtime.out || rc=$?
	cat /tmp/runtime.out
	is $rc 7
	has "$(cat /tmp/runtime.out)" '^0::/'
}

title "$(uname -sr), systemd $(systemctl --version | awk 'NR == 1 { print $2 }'), $(stat -fc %T /sys/fs/cgroup), AppArmor: $(cat /sys/module/apparmor/parameters/enabled)"
for promise in $(grep -oE '^[a-z0-9_]+\(\)' "$0" | tr -d '()'); do
	case $promise in title | check | skip | is | has | lacks | within | pid_of | cgroup_of | limit | load_stack | has_network_create) ;; *) check "$promise" ;; esac
done
[ $bad = 0 ] || journalctl -u hoyd --no-pager -n 30 2>/dev/null | sed 's/^/hoyd: /'
echo
echo "smoke: $good ok, $bad failed, $skipped skipped"
[ $bad = 0 ]
