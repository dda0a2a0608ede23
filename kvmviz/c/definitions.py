"""What stands in braces: the members of a struct or union, the constants of an enum."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kvmviz.c.names import MAX_BYTES, Declared, Kind
from kvmviz.c.syntax import is_open, parts
from kvmviz.ctype import SCALARS, Member, Scalar, Struct, Type

if TYPE_CHECKING:
    from tree_sitter import Node

    from kvmviz.c.declarations import Reader


def enum(reader: Reader, node: Node) -> Kind:
    """An enum: its constants, and the type that holds them all."""
    syntax = reader.syntax
    tag = body = None
    for field, child in parts(node):
        if field == "name":
            tag = child
        elif field == "body":
            body = child
        elif child.type != "enum":
            syntax.refuse(child)
    title = f"enum {reader.name(tag)}" if tag else "enum"
    kind = Kind(title)
    if tag:
        kind = reader.tags.setdefault(title, kind)
    if body is None:
        return kind
    if kind.type is not None:
        syntax.fail(tag or node, f"{title!r} is defined twice")
    wish = reader.wishes.take(node.start_byte, _end(reader, body))
    if wish.align:
        syntax.fail(wish.at or 0, "attribute 'aligned' on an enum is not supported")
    values = _constants(reader, body)
    low, high = min(values), max(values)
    if low < 0 and high >= 1 << 63:
        syntax.fail(body, "no type holds all values of this enum")
    kind.type = _holder(low, high, wish.packed)
    if tag:
        kind.type = replace(kind.type, name=title)
    kind.weight = kind.type.size
    return kind


def _holder(low: int, high: int, packed: bool) -> Scalar:
    """The type of an enum: int, or what its values need; the smallest where it is packed."""
    words = {8: "char", 16: "short", 32: "int", 64: "long long"}
    for bits in words if packed else (32, 64):
        word = words[bits]
        if low < 0 and low >= -(1 << bits - 1) and high < 1 << bits - 1:
            return SCALARS[f"signed {word}" if packed and bits < 32 else word]
        if low >= 0 and high < 1 << bits:
            return SCALARS[f"unsigned {word}"]
    return SCALARS["long long"]


def _constants(reader: Reader, body: Node) -> list[int]:
    """The values of an enum's constants, which the text may use from there on."""
    syntax, constants = reader.syntax, reader.constants
    found: list[int] = []
    for _, child in parts(body):
        if child.type in ("{", "}", ","):
            continue
        if child.type != "enumerator":
            syntax.refuse(child)
        value, at, name = (found[-1] + 1 if found else 0), child, ""
        for field, part in parts(child):
            if field == "name":
                at, name = part, reader.name(part)
            elif field == "value":
                value = constants.value(part)
            elif part.type != "=":
                syntax.refuse(part)
        if name in constants.values:
            syntax.fail(at, f"{name!r} is already a constant")
        if value >= 1 << 64:
            syntax.fail(at, f"{name!r} would be {value}")
        constants.values[name] = value
        found.append(value)
    if not found:
        syntax.fail(body, "an enum without constants")
    return found


def struct(reader: Reader, node: Node, name: str = "") -> Kind:
    """The struct or union of that tag; defined here if its members stand here."""
    syntax = reader.syntax
    word = node.type.removesuffix("_specifier")
    tag = body = None
    for field, child in parts(node):
        if field == "name":
            tag, name = child, reader.name(child)
        elif field == "body":
            body = child
        elif child.type != word:
            syntax.refuse(child)
    title = f"{word} {name}" if tag else name
    kind = Kind(title)
    if tag:
        kind = reader.tags.setdefault(title, kind)
    if body is None:
        return kind
    wish = reader.wishes.take(node.start_byte, body.start_byte)
    wish |= reader.wishes.take(body.end_byte, _end(reader, body))
    if name in reader.places:
        seen = reader.syntax.source.where(reader.places[name])
        syntax.fail(tag or node, f"{name!r} is defined twice; see {seen}")
    if name:
        reader.places[name] = syntax.at(node)
        if syntax.is_own(node):
            reader.own.add(name)
    kind.is_open = True
    members = _members(reader, body, kind, word == "union")
    kind.is_open = False
    kind.type = Struct(
        name,
        members,
        union=word == "union",
        packed=wish.packed,
        align=wish.align,
        pack=reader.wishes.pack_at(node.start_byte),
        empty=not members,
    )
    if name:
        reader.structs[name] = kind.type
    return kind


def _end(reader: Reader, body: Node) -> int:
    """Behind the attributes that stand right behind a brace."""
    data, end = reader.syntax.data, body.end_byte
    while end < len(data) and data[end : end + 1].isspace():
        end += 1
    return end


def _members(reader: Reader, body: Node, kind: Kind, union: bool) -> list[Member]:
    """What stands between the braces; ``kind`` grows with it."""
    syntax = reader.syntax
    found: list[Member] = []
    seen: set[str] = set()
    open_end: Node | None = None
    for field in (child for _, child in parts(body) if child.type not in ("{", "}")):
        if field.type != "field_declaration":
            syntax.refuse(field)
        for row in reader.declared(field):
            node, name, inner = row.node, row.name, row.kind
            if open_end is not None:
                syntax.fail(open_end, "an array without a size is legal only at the end")
            made = reader.complete(inner, node)
            names = [name] if name else made.names() if isinstance(made, Struct) else []
            for used in names:
                if used in seen:
                    syntax.fail(_second(reader, node, used), f"member {used!r} stands twice")
                seen.add(used)
            if is_open(node):
                if union or not seen - {name}:
                    syntax.fail(node, "an array without a size needs members before it")
                open_end = node
            member = _member(reader, row, made)
            if not (name.startswith("__empty_") and isinstance(made, Struct) and made.is_empty):
                # That one is only how __DECLARE_FLEX_ARRAY makes C accept the array behind it.
                found.append(member)
            kind.weight += max(inner.weight, 1)
            kind.depth = max(kind.depth, inner.depth + 1)
            if kind.weight > MAX_BYTES:
                syntax.fail(node, f"more than {MAX_BYTES} bytes of members")
    return found


def _second(reader: Reader, node: Node, name: str) -> Node:
    """Where a member of that name stands: in an anonymous struct, or the node itself."""
    todo = [node]
    while todo:
        one = todo.pop()
        if one.type == "field_identifier" and reader.syntax.text(one) == name:
            return one
        todo.extend(reversed(one.children))
    return node


def _member(reader: Reader, row: Declared, made: Type) -> Member:
    """A member with its bits and attributes, if they are legal."""
    syntax, bits, wish = reader.syntax, None, row.wish
    if row.bits is not None:
        if not isinstance(made, Scalar) or made.kind not in ("integer", "bool") or made.order:
            syntax.fail(row.bits, "only an integer can be a bit-field")
        bits = reader.constants.value(row.bits)
        least, most = int(bool(row.name)), 1 if made.kind == "bool" else made.bits or 64
        if not least <= bits <= most:
            syntax.fail(row.bits, f"a bit-field of {bits} bits; legal: {least} .. {most}")
    if wish.at is not None and not row.name:
        syntax.fail(wish.at, "an attribute on a member without a name is not supported")
    return Member(row.name or None, made, bits, wish.align, wish.packed)
