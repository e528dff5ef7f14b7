#!/bin/sh
# demo.sh - Hoy's main job on real input, in a minute: called by ./run demo.
# Everything happens in private mount, network and pid namespaces, below one temporary directory; nothing stays behind.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
HOY_CACHE=${HOY_CACHE:-/var/cache/hoy-test}

if [ "${1:-}" != inside ]; then
	work=$(mktemp -d /var/tmp/hoy-demo.XXXXXX)
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT TERM
	rc=0
	unshare -m -n -p -f --mount-proc --propagation private --kill-child sh "$0" inside "$work" || rc=$?
	if [ "$rc" != 0 ]; then
		echo "demo: failed; the daemon's last words:"
		tail -n 20 "$work/hoyd.log" 2>/dev/null || true
		exit "$rc"
	fi
	echo "demo: everything worked"
	exit 0
fi

work=$2
bin=${HOY_BIN:-$root/build/programs}
export DOCKER_HOST="unix://$work/hoy.sock" DOCKER_CONFIG="$work/.docker"
docker=/usr/bin/docker
[ -x "$docker" ] || docker=$HOY_CACHE/peers/usr/bin/docker

title() { printf '\n-- %s\n' "$*"; }
show() { # the command line as a user would type it, then its output
	printf '$ %s\n' "$*"
	"$@"
}
docker() { "$docker" "$@"; }
hoy() { "$bin/hoy" "$@"; }
expect() { # WHAT GOT WANTED
	[ "$2" = "$3" ] || {
		echo "demo: $1: got '$2' instead of '$3'"
		exit 1
	}
}
wait_for() { # SECONDS COMMAND...
	tries=$(($1 * 20))
	shift
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.05
	done
}

ip link set lo up
# a wire to "the world", so that the published port is asked from an address that is not loopback
ip link add world type veth peer name wire
ip addr add 198.51.100.1/24 dev world
ip link set world up
ip link set wire up

title "hoyd starts on a private socket and data root"
"$bin/hoyd" --data-root "$work/data" --exec-root "$work/exec" -H "$DOCKER_HOST" --pidfile "$work/pid" >"$work/hoyd.log" 2>&1 &
hoyd=$!
finish() {
	ids=$(docker ps -aq 2>/dev/null || true)
	# shellcheck disable=SC2086 # a list of ids
	[ -z "$ids" ] || docker rm -f $ids >/dev/null 2>&1 || true
	kill "$hoyd" 2>/dev/null || true
	wait "$hoyd" 2>/dev/null || true
}
trap finish EXIT
wait_for 20 docker version || {
	echo "demo: hoyd did not answer"
	exit 1
}
show docker version --format 'client {{.Client.Version}}, server {{.Server.Version}}, API {{.Server.APIVersion}}'

title "a base image out of Debian's busybox-static (no registry)"
mkdir -p "$work/rootfs/bin" "$work/rootfs/etc" "$work/rootfs/root" "$work/rootfs/tmp"
cp /bin/busybox "$work/rootfs/bin/busybox"
for applet in $(/bin/busybox --list); do
	[ "$applet" = busybox ] || ln -f "$work/rootfs/bin/busybox" "$work/rootfs/bin/$applet"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$work/rootfs/etc/passwd"
echo 'root:x:0:' >"$work/rootfs/etc/group"
tar -C "$work/rootfs" -cf "$work/rootfs.tar" .
show docker import -c 'ENV PATH=/bin' -c 'CMD ["sh"]' "$work/rootfs.tar" busybox
show docker images

title "hello, from a container; stdin goes in, the exit code comes out"
show docker run --rm busybox echo "ahoy from a container"
expect "stdin" "$(echo "typed words" | docker run --rm -i busybox tr a-z A-Z)" "TYPED WORDS"
echo '$ echo "typed words" | docker run --rm -i busybox tr a-z A-Z  ->  TYPED WORDS'
rc=0
docker run --rm busybox sh -c 'exit 42' || rc=$?
expect "the exit code" "$rc" 42
echo '$ docker run --rm busybox sh -c "exit 42"; echo $?  ->  42'

title "detached, with a published port and a volume"
mkdir -p "$work/www"
echo "served by a container" >"$work/www/index.html"
show docker run -d --name web -p 8080:80 -v "$work/www:/www" busybox httpd -f -v -p 80 -h /www
ask() { printf 'GET /index.html HTTP/1.0\r\n\r\n' | /bin/busybox nc -w 5 "$1" 8080 | tail -n 1 | grep .; }
for address in 127.0.0.1 198.51.100.1; do
	wait_for 20 ask "$address" || true
	expect "the answer at $address" "$(ask "$address" || true)" "served by a container"
	echo "http://$address:8080/ says: $(ask "$address")"
done
docker exec web sh -c 'echo "changed from inside" > /www/index.html'
expect "the volume on the host" "$(cat "$work/www/index.html")" "changed from inside"
echo "the volume, written inside, read on the host: $(cat "$work/www/index.html")"

title "the same daemon, driven by hoy"
show hoy ps

title "limits that bite"
rc=0
docker run --name eater --memory 16m --memory-swap 16m busybox sh -c 'x=$(yes | head -c 60000000); echo ${#x}' >/dev/null 2>&1 || rc=$?
expect "OOMKilled" "$(docker inspect -f '{{.State.OOMKilled}}' eater)" true
echo "60 MB in a container of 16 MB: exit code $rc, OOMKilled $(docker inspect -f '{{.State.OOMKilled}}' eater)"
out=$(docker run --rm --pids-limit 8 busybox sh -c 'for i in $(seq 20); do sleep 5 & done' 2>&1 || true)
case $out in
*"can't fork"*) echo "20 processes in a container of 8: $out" ;;
*)
	echo "demo: the pids limit did not bite: $out"
	exit 1
	;;
esac

title "exec, logs, top"
# shellcheck disable=SC2016 # for the shell in the container
show docker exec web sh -c 'echo "I am $(hostname), process $$"'
show docker logs web
show docker top web

title "the process tree"
pid=$(docker inspect -f '{{.State.Pid}}' web)
pstree -p 1 2>/dev/null || ps -e -o pid,ppid,args

title "namespaces: the host's, and the container's"
for kind in cgroup ipc mnt net pid user uts; do
	a=$(readlink "/proc/1/ns/$kind") b=$(readlink "/proc/$pid/ns/$kind")
	if [ "$a" = "$b" ]; then word="the same"; else word="its own"; fi
	printf '%-7s %-22s %-22s %s\n' "$kind" "$a" "$b" "$word"
	case $kind in
	ipc | mnt | net | pid | uts) expect "namespace $kind" "$word" "its own" ;;
	user) expect "namespace $kind" "$word" "the same" ;;
	esac
done

title "kill -9 of the daemon is a non-event"
kill -9 "$hoyd"
wait "$hoyd" 2>/dev/null || true
expect "the answer without a daemon" "$(ask 198.51.100.1)" "changed from inside"
echo "no daemon, yet http://198.51.100.1:8080/ says: $(ask 198.51.100.1)"
"$bin/hoyd" --data-root "$work/data" --exec-root "$work/exec" -H "$DOCKER_HOST" --pidfile "$work/pid" >>"$work/hoyd.log" 2>&1 &
hoyd=$!
wait_for 20 docker version
expect "the container after it" "$(docker inspect -f '{{.State.Status}} {{.State.Pid}}' web)" "running $pid"
show docker ps

title "stop and remove"
show docker stop -t 2 web
show docker rm web eater
expect "what is left" "$(docker ps -aq)" ""
echo
