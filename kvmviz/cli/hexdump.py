"""Bytes out of text: hex digits, or what ``xxd``, ``hexdump -C`` and ``od -A x -t x1`` print."""

from __future__ import annotations

import re

from kvmviz._base import KvmvizError

MAX_BYTES = 1 << 24
"""The longest dump that is read: 16 MiB."""

_COLON = re.compile(r"(?P<at>[0-9a-fA-F]{6,16}):\s+(?P<rest>\S+(?: \S+)*)(?P<shown>  .*)?")
"""xxd: an offset, groups of bytes one blank apart, and two blanks before the characters."""

_BYTES = re.compile(
    r"(?P<at>[0-9a-fA-F]{6,16})\s+(?P<rest>[0-9a-fA-F]{2}(?:\s+[0-9a-fA-F]{2})*)"
    r"\s*(?:[|>].*)?"
)
"""hexdump -C and od: an offset, single bytes, and the characters behind a bar."""

_WORDS = re.compile(
    r"[0-9a-fA-F]{6,8}(?:\s+[0-9a-fA-F]{4})+|[0-9a-fA-F]{6,7}(?:\s+(?:[0-9a-fA-F]{8}){1,2})+"
)
"""hexdump and od without options, or with words of 4 or 8 bytes: an offset, then numbers."""

_UNCLEAR = re.compile(r"[0-9a-fA-F]{6,16}(?: [0-9a-fA-F]{2})+")
_END = re.compile(r"[0-9a-fA-F]{6,16}")
_TOKEN = re.compile(r"(?:0[xX])?(?P<digits>[0-9a-fA-F]+)")


def is_text(data: bytes) -> bool:
    """It is printable throughout, and may be such a text."""
    return bool(data) and all(byte in b"\t\n\r" or 0x20 <= byte < 0x7F for byte in data)


def read(text: str) -> bytes:
    """The bytes in memory order; :class:`KvmvizError` with the line for what is no hex."""
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise KvmvizError("line 1, column 1: no bytes; give hex digits, two for each byte")
    number, line = lines[0]
    if _WORDS.fullmatch(line):
        raise KvmvizError(
            f"line {number}, column 1: words of {len(line.split()[1])} digits in the byte order of "
            "the host that printed them; use xxd or hexdump -C"
        )
    if len(lines) == 1 and _UNCLEAR.fullmatch(line):
        raise KvmvizError(
            f"line {number}, column 1: {line.split()[0]!r} may be an offset or bytes; put a colon "
            "behind an offset, or give the digits without blanks"
        )
    if _row(line):
        _check(lines)
        return _dump(lines)
    return b"".join(_plain(number, line) for number, line in lines)


def _row(line: str) -> re.Match[str] | None:
    return _COLON.fullmatch(line) or _BYTES.fullmatch(line)


def _plain(number: int, line: str) -> bytes:
    """Digits in pairs; blanks, commas and colons may stand between them."""
    found = bytearray()
    for match in re.finditer(r"[^\s,:]+", line):
        where = f"line {number}, column {match.start() + 1}: {match[0][:20]!r}"
        token = _TOKEN.fullmatch(match[0])
        if token is None:
            raise KvmvizError(f"{where} is not hex")
        digits = token["digits"]
        if len(match[0]) > len(digits) and len(digits) > 2:
            raise KvmvizError(
                f"{where} is a number, whose bytes have no order; give bytes as memory has them"
            )
        if len(digits) % 2:
            raise KvmvizError(f"{where} has an odd number of digits; a byte has two")
        found += bytes.fromhex(digits)
    return bytes(found)


def _check(lines: list[tuple[int, str]]) -> None:
    """Refuses what xxd prints as bits (``-b``), or as words in reverse (``-e``).

    Its groups look like bytes in order; the characters behind them tell which they are.
    """
    unclear, sure = 0, False
    for number, line in lines:
        match = _COLON.fullmatch(line)
        groups = match["rest"].split() if match else []
        if match is None or not all(re.fullmatch(r"(?:[0-9a-fA-F]{2})+", row) for row in groups):
            continue
        words = [bytes.fromhex(group) for group in groups]
        straight = _shows(match["shown"], b"".join(words))
        if not straight and all(re.fullmatch("[01]{8}", group) for group in groups):
            raise KvmvizError(f"line {number}, column 1: bits, as xxd -b prints them; use xxd")
        turned = [word[::-1] for word in words]
        if turned == words:
            continue
        reverse = _shows(match["shown"], b"".join(turned))
        if reverse and not straight:
            raise KvmvizError(
                f"line {number}, column 1: words in reverse, as xxd -e prints them; use xxd"
            )
        sure |= straight and not reverse
        unclear = unclear or (number if len(words[0]) > 2 else 0)
    if unclear and not sure:
        raise KvmvizError(
            f"line {unclear}, column 1: words that may be in reverse, as xxd -e prints them; use "
            "xxd -g 1"
        )


def _shows(shown: str | None, data: bytes) -> bool:
    """The characters at the end of a line are those of these bytes."""
    if not shown:
        return False
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)
    return shown.rstrip().endswith(text.rstrip())


def _dump(lines: list[tuple[int, str]]) -> bytes:
    """Lines that begin with an offset; ``*`` repeats the line above up to the next offset."""
    found, first, repeats, last = bytearray(), None, False, b""
    for number, line in lines:
        if line == "*":
            repeats = True
            continue
        match = _row(line)
        if match is None and not _END.fullmatch(line):
            raise KvmvizError(f"line {number}, column 1: no line of a hex dump: {line[:20]!r}")
        at = int(match["at"] if match else line, 16)
        first = at if first is None else first
        gap = at - first - len(found)
        if gap and not (repeats and last and gap > 0 and gap <= MAX_BYTES):
            raise KvmvizError(
                f"line {number}, column 1: offset {at:#x} does not follow on the line above"
            )
        found += (last * (gap // (len(last) or 1) + 1))[:gap]
        repeats = False
        if match:
            last = _plain(number, match["rest"])
            found += last
        if len(found) > MAX_BYTES:
            raise KvmvizError(f"line {number}, column 1: more than {MAX_BYTES >> 20} MiB")
    return bytes(found)
