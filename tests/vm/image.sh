#!/bin/bash
# image.sh DIR - the guest's kernel, initial RAM disk and disk, out of Debian packages alone (packages.txt, group guest). Needs root.
# shellcheck disable=SC2016 # dollars that belong to apt, awk and the hook's shell
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
work=$(mktemp -d "$dir/image.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
packages=$(awk '$1 == "guest" { printf "%s%s", n++ ? "," : "", $2 }' "$here/../../packages.txt")

# The sources of this machine's apt: it must be a Debian 12 too.
sources() {
	apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 2>/dev/null |
		awk '$2 ~ /^bookworm/ && !seen[$0]++ { print "deb", $1, $2, "main" }' >"$work/sources"
	[ -s "$work/sources" ] || { echo "tests/vm: this machine's apt knows no source of Debian 12 (bookworm)" >&2; exit 1; }
}

# The kernel is unpacked, not installed: nothing here needs its initramfs-tools or boot loader hooks.
rootfs() {
	local hook='cd "$1" && export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" &&
		apt-get -o APT::Sandbox::User=root download "$(apt-cache depends linux-image-amd64 | sed -n "s/.*Depends: \(linux-image-[0-9].*\)/\1/p" | head -n 1)" &&
		dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x --keep-directory-symlink && rm linux-image-*.deb'
	mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--include="$packages" --customize-hook="$hook" bookworm "$root" "$work/sources" >"$dir/image.log" 2>&1 || {
		tail -n 20 "$dir/image.log" >&2
		return 1
	}
	rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*
}

# No hardware to drive but qemu's.
modules() {
	local kernel
	version=$(ls "$root/lib/modules")
	kernel=$root/lib/modules/$version/kernel
	rm -rf "$kernel/sound" "$kernel"/drivers/net/{wireless,ethernet,usb,can,wwan,phy} "$kernel"/net/{bluetooth,mac80211,wireless,sunrpc,can}
	find "$kernel/drivers" -mindepth 1 -maxdepth 1 ! -name net ! -name block ! -name char ! -name md ! -name virtio -exec rm -rf {} +
	depmod -b "$root" "$version"
	mv "$root/boot/vmlinuz-$version" "$work/vmlinuz"
	rm -rf "${root:?}"/boot/*
}

initrd() {
	local i=$work/initrd.d module words
	mkdir -p "$i"/{bin,dev,proc,sys,new}
	cp "$root/bin/busybox" "$i/bin/"
	for module in virtio_pci virtio_blk ext4 crc32c_generic; do
		modprobe -d "$root" -S "$version" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r module; do
		words=$(basename "$module")
		cp "$module" "$i/$words"
		echo "$words"
	done >"$i/order"
	cat >"$i/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
while read -r m; do $b insmod "/$m"; done </order
n=0
until [ -b /dev/vda ] || [ $n -gt 100 ]; do n=$((n + 1)); $b sleep 0.05; done
$b mount -t ext4 -o noatime /dev/vda /new || exec $b sh
for m in dev proc sys; do $b mount --move /$m /new/$m; done
exec $b switch_root /new /sbin/init
INIT
	chmod 755 "$i/init"
	(cd "$i" && find . | cpio --quiet -o -H newc >"$work/initrd")
}

# The service that is our end in the guest: it says "ready", waits for "go TIME", and does what the host left in the shared folder.
agent() {
	install -m 755 "$here/agent.sh" "$root/usr/local/sbin/agent"
	cat >"$root/etc/systemd/system/agent.service" <<'UNIT'
[Unit]
Description=does what the host says
After=multi-user.target
[Service]
ExecStart=/usr/local/sbin/agent
Environment=HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Delegate=yes
LimitNOFILE=1048576
[Install]
WantedBy=graphical.target
UNIT
	local wants=$root/etc/systemd/system/graphical.target.wants unit
	mkdir -p "$wants"
	ln -s ../agent.service "$wants/"
	# nothing that wakes up by itself
	for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
		getty@tty1.service serial-getty@ttyS0.service systemd-timesyncd.service systemd-firstboot.service; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit"
	done
	ln -sf /lib/systemd/system/graphical.target "$root/etc/systemd/system/default.target"
	echo guest >"$root/etc/hostname"
	echo "127.0.0.1 localhost guest" >"$root/etc/hosts"
	: >"$root/etc/resolv.conf"
	printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf"
	chroot "$root" systemd-machine-id-setup >/dev/null 2>&1 || true
	# emulated, these cost more than the plain code
	printf 'blacklist %s\n' aesni_intel ghash_clmulni_intel crct10dif_pclmul iTCO_wdt >"$root/etc/modprobe.d/guest.conf"
}

disk() {
	truncate -s 8G "$work/disk.raw"
	mke2fs -q -t ext4 -d "$root" -m 0 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard "$work/disk.raw"
}

sources
rootfs
modules
initrd
agent
disk
mv "$work"/{vmlinuz,initrd,disk.raw} "$dir/"
