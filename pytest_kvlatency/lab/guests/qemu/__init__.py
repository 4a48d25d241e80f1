"""Real guests: a Linux kernel and BusyBox under QEMU, on a link that the lab's switch makes."""
