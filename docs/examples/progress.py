"""What happens to a job, as it happens."""

from mmml import Client

with Client() as mmml:
    job = mmml.synthesize("a yellow bird with a grey tail", count=8)
    for event in job.events():  # taken up again by itself when the connection breaks
        match event.kind:
            case "position":
                print(f"{event.data['queue_position']} jobs in front")
            case "progress":
                print(f"{event.data['done']} of {event.data['total']} pictures")
            case _:
                print(event.data["status"])
    print(f"{len(job.wait().images)} pictures")
