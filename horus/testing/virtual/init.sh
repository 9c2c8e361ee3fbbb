#!/bin/busybox sh
# The first program of the virtual machine: it makes the host's files its own, then does what the
# host orders, one line each: TOKEN WHERE SCRIPT, the script in base64. WHERE is "machine" (here) or
# "host" (on the host's files). Behind the output of each comes its token, on "orders" its status.
/bin/busybox --install -s /bin
export PATH=/bin

mkdir -p /dev /proc /sys /host /bytecode /over /new /lib/modules
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
hostname virtual
ln -s /modules "/lib/modules/$(uname -r)"
echo /bin/modprobe > /proc/sys/kernel/modprobe
modprobe -a virtio_pci virtio_console 9pnet_virtio 9p overlay
ip link set lo up

options=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o "$options,ro,cache=loose" host /host || echo "cannot mount the host's files"
mount -t 9p -o "$options,ro,cache=loose" bytecode /bytecode || echo "cannot mount the byte code"
mount -t tmpfs over /over
mkdir /over/upper /over/work

# The port of a name; virtio_console finds them one after the other.
port() {
    while true; do
        for place in /sys/class/virtio-ports/*; do
            [ "$(cat "$place/name" 2>/dev/null)" = "$1" ] && echo "/dev/${place##*/}" && return
        done
        sleep 0.05
    done
}

exec 3<>"$(port orders)" 4>"$(port out)" 5>"$(port err)"
echo ready >&3
while read -r token where script <&3; do
    echo "$script" | base64 -d > /order
    if [ "$where" = machine ]; then
        sh /order < /dev/null >&4 2>&5 3>&-
    else
        mkdir -p /new/run/horus
        cp /order "/new/run/horus/$token"
        chroot /new /bin/sh "/run/horus/$token" < /dev/null >&4 2>&5 3>&- 4>&- 5>&-
    fi
    status=$?
    echo "$token" >&4
    echo "$token" >&5
    echo "$token $status" >&3
done
poweroff -f
