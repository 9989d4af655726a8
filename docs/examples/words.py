"""Which words a bundle knows, and what becomes of the others."""

from mmml import Client

with Client() as mmml:
    models = mmml.models()
    for bundle in models["bundles"]:
        for task, offered in bundle["tasks"].items():
            print(f"{bundle['name']}: {task} by {', '.join(offered['methods'])}")

    job = mmml.synthesize("a flamboyant red bird")
    for warning in job.warnings:  # known at once; the picture is made all the same
        print(warning)
