"""Rules that the kernel enforces on a process and all it starts, without any privilege: Landlock and seccomp.

Landlock (Linux 5.13 and later) names the files that may be read and the one folder that may be written, and from
newer kernels on denies TCP and signals to processes outside. It does not cover UDP, sockets with a path, or the
change of modes and times of files; seccomp does: a program that computes arrays needs none of these calls.

Not covered: reading names and sizes of files (`stat`) outside, where no mount view hides them.
"""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Sequence

import linux  # type: ignore[import-not-found]

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1, 2, 4, 8, 1 << 14
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_TCP_BOTH, _SCOPE_BOTH = 0b11, 0b11
# abi -> number of file rights it knows
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _GREATER_EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_NEW_NAMESPACE = 0x7E020000
_X32 = 0x40000000
_CLONE, _CLONE3 = (56, 220), 435
_PRLIMIT = (302, 261)
# numbers on x86_64 and aarch64; None where the machine has no such call
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # speed and memory of other processes; what a process sets for itself nobody would miss
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    # memory that belongs to no process and no folder, so nobody would count it
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
}


def landlock_abi() -> int:
    """Version of Landlock in the kernel.

    Raises:
        OSError: there is none, or it is switched off.
    """
    return int(linux.syscall(_CREATE, None, 0, 1))


def restrict_files(readable: Sequence[str], writable: Sequence[str]) -> int:
    """Allow reading and executing `readable`, everything in `writable`, and nothing else; give the ABI used.

    From ABI 4 no TCP port may be bound or connected to, from ABI 6 no abstract socket and no signal may leave.
    """
    abi = landlock_abi()
    handled = (1 << _RIGHTS[min(abi, max(_RIGHTS))]) - 1
    fields = struct.pack("QQQ", handled, _TCP_BOTH if abi >= 4 else 0, _SCOPE_BOTH if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = linux.syscall(_CREATE, ctypes.create_string_buffer(fields, 24), size, 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ & handled)
        for path in writable:
            _allow(ruleset, path, handled)
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.syscall(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)
    return abi


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Add a rule for a path and all below it; one that is not there needs none."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            rights &= _FILE_RIGHTS
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, handle), 12)
        linux.syscall(_ADD, ruleset, 1, rule, 0)
    finally:
        os.close(handle)


def refuse_calls() -> int:
    """Let the kernel refuse the calls above to this process and all it starts; give their number.

    Raises:
        OSError: a machine whose numbers are not known here, or a kernel without filters.
    """
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise OSError(errno.ENOSYS, "system call numbers not known", machine)
    column, audit = _MACHINES[machine]
    numbers = [both[column] for both in _REFUSED.values()]
    program = _filter(column, audit, [number for number in numbers if number is not None])
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.prctl(linux.PR_SET_SECCOMP, 2, ctypes.create_string_buffer(head, len(head)))
    return len(numbers)


def _filter(column: int, audit: int, numbers: Sequence[int]) -> bytes:
    """A classic BPF program: refuse with EPERM, or ENOSYS where the C library then takes the older call.

    Calls of another machine mode (32 bit) would have other numbers, so they end the process.
    """
    refuse = _ERRNO | errno.EPERM
    steps = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, audit), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    steps += [(_GREATER_EQUAL, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    for number in numbers:
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    # prlimit: the C library's getrlimit and setrlimit ask for process 0, which is the caller
    steps += [(_EQUAL, 0, 4, _PRLIMIT[column]), (_LOAD, 0, 0, 16), (_EQUAL, 1, 0, 0)]
    steps += [(_RETURN, 0, 0, refuse), (_RETURN, 0, 0, _ALLOW)]
    steps += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    # clone: its flags are the first argument (offset 16; both machines are little-endian)
    steps += [(_EQUAL, 0, 3, _CLONE[column]), (_LOAD, 0, 0, 16), (_ANY_BIT, 0, 1, _NEW_NAMESPACE)]
    steps += [(_RETURN, 0, 0, refuse), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
