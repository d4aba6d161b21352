"""The system calls a generated program may make: an allowlist, as the classic BPF program that seccomp takes.

Reading, memory, time and files in the private folder are allowed; which files is for the tier to say. Absent,
and so refused: processes and threads (fork, clone, execve), sockets, signals to anyone, ptrace and the memory
of other processes, mounts and namespaces, modes, owners and times of files, resource limits, System V and
POSIX shared memory, io_uring, and whatever a later kernel adds. Numbers are those of Linux's tables for each
machine.
"""

from __future__ import annotations

import struct

# Name: number on x86-64, on AArch64. None where the machine has no such call.
ALLOWED: dict[str, tuple[int, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "open": (2, None),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "poll": (7, None),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "readv": (19, 65),
    "writev": (20, 66),
    "access": (21, None),
    "select": (23, None),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "dup": (32, 23),
    "dup2": (33, None),
    "nanosleep": (35, 101),
    "getitimer": (36, 102),
    "alarm": (37, None),
    "setitimer": (38, 103),
    "getpid": (39, 172),
    "exit": (60, 93),
    "uname": (63, 160),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "ftruncate": (77, 46),
    "getcwd": (79, 17),
    "rename": (82, None),
    "mkdir": (83, None),
    "rmdir": (84, None),
    "unlink": (87, None),
    "readlink": (89, None),
    "gettimeofday": (96, 169),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "getdents64": (217, 61),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "openat": (257, 56),
    "mkdirat": (258, 34),
    "newfstatat": (262, 79),
    "unlinkat": (263, 35),
    "readlinkat": (267, 78),
    "faccessat": (269, 48),
    "pselect6": (270, 72),
    "ppoll": (271, 73),
    "dup3": (292, 24),
    "renameat2": (316, 276),
    "getrandom": (318, 278),
    "statx": (332, 291),
    "rseq": (334, 293),
    "faccessat2": (439, 439),
}
FCNTL = (72, 25)
# Descriptor flags, copies and locks. F_SETOWN and F_SETSIG are not among them: they signal other processes.
FCNTL_COMMANDS = (0, 1, 2, 3, 5, 6, 7, 1030)

# What the kernel calls each machine (linux/audit.h), and its column above.
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

_LOAD, _EQUAL, _GIVE = 0x20, 0x15, 0x06
_ALLOW, _KILL, _EPERM = 0x7FFF0000, 0x80000000, 0x00050001
_NUMBER, _MACHINE, _SECOND_ARGUMENT = 0, 4, 24  # offsets in struct seccomp_data


def program(machine: str) -> bytes | None:
    """The filter for `machine`, eight bytes a row; None for a machine that the table lacks.

    Args:
        machine: As `platform.machine()` names it.

    A refused call fails with EPERM. One that comes in by another machine's table, as 32-bit calls on a 64-bit
    kernel do, ends the process: its numbers mean something else.
    """
    if machine not in MACHINES:
        return None
    code, column = MACHINES[machine]
    numbers = sorted(number for row in ALLOWED.values() if (number := row[column]) is not None)
    rows = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, code), (_GIVE, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    rows += [row for number in numbers for row in ((_EQUAL, 0, 1, number), (_GIVE, 0, 0, _ALLOW))]
    # Skipped unless the call is fcntl: one load and two rows a command.
    rows += [(_EQUAL, 0, 1 + 2 * len(FCNTL_COMMANDS), FCNTL[column]), (_LOAD, 0, 0, _SECOND_ARGUMENT)]
    rows += [row for command in FCNTL_COMMANDS for row in ((_EQUAL, 0, 1, command), (_GIVE, 0, 0, _ALLOW))]
    rows.append((_GIVE, 0, 0, _EPERM))
    return b"".join(struct.pack("=HBBI", *row) for row in rows)
