"""Many jobs at a time, without a thread for each."""

import asyncio

from mmml import AsyncClient

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "black", "white")


async def bird(mmml: AsyncClient, colour: str) -> str:
    job = await mmml.synthesize(f"a bird with a {colour} crown and {colour} wings", seed=3)
    await job.wait()
    [path] = await job.save(f"{colour}.png")
    return path.name


async def main() -> None:
    async with AsyncClient() as mmml:
        print(*await asyncio.gather(*(bird(mmml, colour) for colour in COLOURS)))


asyncio.run(main())
