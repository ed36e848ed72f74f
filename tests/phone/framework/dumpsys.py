"""`dumpsys SERVICE …`: the dispatcher."""

from tests.phone.framework.registry import DUMPS, SHELL_COMMANDS, Call


@SHELL_COMMANDS.add("dumpsys")
async def dumpsys(call: Call) -> int | None:
    """`dumpsys [-t SECONDS] SERVICE [ARGUMENTS]`, `dumpsys -l`."""
    if call.word(0) in ("-t", "-T"):
        call = call.shifted(2)
    service = call.word(0)
    if service == "-l":
        await call.say("Currently running services:\n" + "".join(f"  {name}\n" for name in sorted(DUMPS.by_name)))
        return None
    dump = DUMPS.by_name.get(service)
    if dump is None:
        call.unknown()
        await call.say(f"Can't find service: {service}\n")
        return None
    return await dump(call.shifted(1))
