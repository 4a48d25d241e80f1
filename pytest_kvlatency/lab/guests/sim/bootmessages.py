"""What a simulated guest prints while it boots, before and after the login, and while it goes down."""

from __future__ import annotations

ALPINE_BOOT = (
    "Linux version 6.1.64-0-virt (buildozer@build-3-18-x86_64) (gcc (Alpine 12.2.1) 12.2.1) #1-Alpine SMP",
    "Command line: BOOT_IMAGE=vmlinuz-virt root=LABEL=/ modules=sd-mod,usb-storage,ext4 console=ttyS0,115200n8",
    "BIOS-provided physical RAM map:",
    "DMI: KubeVirt None/RHEL, BIOS 1.16.1-1.el9 04/01/2014",
    "smpboot: CPU0: simulated processor",
    "devtmpfs: initialized",
    "NET: Registered PF_NETLINK/PF_ROUTE protocol family",
    "clocksource: Switched to clocksource tsc-early",
    "virtio_blk virtio1: [vda] 413696 512-byte logical blocks (212 MB/202 MiB)",
    "Serial: 8250/16550 driver, 4 ports, IRQ sharing enabled",
    "EXT4-fs (vda): mounted filesystem with ordered data mode. Quota mode: none.",
    "random: crng init done",
)
FEDORA_BOOT = (
    "Linux version 6.2.9-300.fc38.x86_64 (mockbuild@bkernel01) (gcc (GCC) 13.0.1) #1 SMP PREEMPT_DYNAMIC",
    *ALPINE_BOOT[1:],
    "systemd[1]: Detected virtualization kvm.",
    "systemd[1]: Hostname set to <localhost>.",
)
CLOUD_INIT = (
    "cloud-init[513]: Cloud-init v. 23.2.2 running 'modules:config' at Thu, 01 Jan 1970 00:00:05 +0000.",
    "cloud-init[527]: Cloud-init v. 23.2.2 running 'modules:final' at Thu, 01 Jan 1970 00:00:06 +0000.",
    "cloud-init[527]: Cloud-init v. 23.2.2 finished. Datasource DataSourceNoCloud [seed=/dev/vdb][dsmode=net].",
)
NOISE = (
    "random: 7 urandom warning(s) missed due to ratelimiting",
    "clocksource: timekeeping watchdog on CPU0: Marking clocksource 'tsc' as unstable",
    "hrtimer: interrupt took 5120331 ns",
    "IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready",
)


def stamped(seconds: float, text: str) -> str:
    """A kernel message as the console shows it."""
    return f"[{seconds:12.6f}] {text}"


def issue(*, fedora: bool) -> str:
    """The text above the login prompt."""
    if fedora:
        return (
            "\r\nFedora Linux 38 (Cloud Edition)\r\nKernel 6.2.9-300.fc38.x86_64 on an x86_64 (ttyS0)\r\n\r\n"
        )
    return "\r\nWelcome to Alpine Linux 3.18\r\nKernel 6.1.64-0-virt on an x86_64 (/dev/ttyS0)\r\n\r\n"


def last_failed_login() -> str:
    """What follows somebody's wrong password."""
    return (
        "Last failed login: Thu Jan  1 00:00:04 UTC 1970 on ttyS0\r\n"
        "There was 1 failed login attempt since the last successful login.\r\n"
    )


def welcome(*, fedora: bool) -> str:
    """The message of the day."""
    if fedora:
        return ""
    return (
        "Welcome to Alpine!\r\n\r\nThe Alpine Wiki contains a large amount of how-to guides and general\r\n"
        "information about administrating Alpine systems.\r\nSee <https://wiki.alpinelinux.org/>.\r\n\r\n"
    )


SHUTDOWN = (
    "The system is going down NOW!\r\nSent SIGTERM to all processes\r\nSent SIGKILL to all processes\r\n"
    "Requesting system {how}\r\n"
)
