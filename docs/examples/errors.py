"""What can go wrong, and how a program tells it apart."""

from mmml import Client, JobFailed, MmmlError, Refused, StillRunning, Unreachable, UnusablePicture

with Client() as mmml:
    try:
        mmml.synthesize("qwertz")
    except Refused as refused:  # the service says no; Busy, a kind of it, says not now
        print(f"refused: {refused.status} {refused.code}")

    try:
        mmml.manipulate("no-such-photo.jpg", "a red bird")
    except UnusablePicture as unusable:  # nothing was sent
        print(f"unusable: {unusable}")

    job = mmml.synthesize("a red bird", count=16)
    try:
        job.wait(timeout=0)
    except StillRunning:  # it goes on, and can be waited for again
        print("not yet")

    try:
        job.cancel()
        job.wait()
        print("failed: not at all, its last picture was made before it heard")
    except JobFailed as failed:  # it failed, was canceled, or has expired
        print(f"failed: {failed.code}")
    except MmmlError as other:  # the base of them all; here it was over before it was canceled
        print(f"something else: {other}")

try:
    with Client("http://127.0.0.1:9") as nobody:
        nobody.models()
except Unreachable as unreachable:
    print(f"unreachable: {unreachable.code}")
