"""Jobs are canceled, listed and erased."""

from mmml import Client, Refused

with Client() as mmml:
    kept = mmml.synthesize("a white bird").wait()
    other = mmml.synthesize("a black bird", count=16)
    try:
        print(other.cancel().status)
    except Refused as late:  # 409: it is over already
        print(f"too late: {late}")

    newest = mmml.jobs(limit=5, status="succeeded", task="synthesize")
    print([job["input"]["text"] for job in newest if job["id"] == kept.id])

    kept.delete()  # its pictures, inputs and record
    try:
        kept.refresh()
    except Refused as gone:
        print(f"{gone.status}: {gone}")
