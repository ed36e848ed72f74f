"""Quantities as people read them: one way of writing each, wherever it is shown."""


def significant(value: float, digits: int = 3) -> str:
    """A number to `digits` significant digits, never in scientific notation."""
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}".replace(",", " ")
    decimals = digits - 1
    size = abs(value)
    while size < 1 and decimals < digits + 5:
        size *= 10
        decimals += 1
    while size >= 10:
        size /= 10
        decimals -= 1
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def byte_count(count: float) -> str:
    """Decimal units, as downloads are advertised."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        # What rounds to a thousand of the next smaller unit is one of this.
        if count >= 0.9995 * size:
            return f"{significant(count / size)} {unit}"
    return f"{count:.0f} B"


def exact_bytes(count: int) -> str:
    """To the byte: counts that stand side by side are there to be compared."""
    return f"{count:,} B".replace(",", " ")


def binary_count(count: float) -> str:
    """Binary units, for what is a power of two by nature."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        # What rounds to a thousand of the next smaller unit is one of this.
        if count >= 0.9995 * size:
            return f"{significant(count / size)} {unit}"
    return f"{count:.0f} B"


def parameter_count(count: int) -> str:
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3)):
        # What rounds to a thousand of the next smaller unit is one of this.
        if count >= 0.9995 * size:
            return f"{significant(count / size)} {unit}"
    return str(count)


def seconds(value: float) -> str:
    if value < 1:
        return f"{significant(value * 1000)} ms"
    if value < 120:
        return f"{significant(value)} s"
    return f"{int(value // 60)} min {int(value % 60):02d} s"


def duration(total: float) -> str:
    """In the two largest units that matter: `3 h 20 min`."""
    whole = int(abs(total))
    for unit, size, smaller, smaller_size in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def rate(value: float) -> str:
    return f"{significant(value)} tok/s"


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def percent_interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{low * 100:.0f}–{high * 100:.0f} %"
