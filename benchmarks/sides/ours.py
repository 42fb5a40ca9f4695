"""attune's side: its own update, without validation and checkpoints, as the others train without them."""

from __future__ import annotations

from sides.clock import Clock
from sides.job import PROTOCOL, Job, prepared, score_of


def learner_of(job: Job, ready, place=None):
    """What attune trains, on a CPU or at the given place."""
    from attune.models import load
    from attune.training import optim, update

    task = ready.task
    model = load.backbone(job.model, task.head, task.labels, seed=job.seed, problem=task.problem)
    task.equip(model)
    if place is not None:
        model.move(place)
    optimizer = optim.adamw(model.model, weight_decay=PROTOCOL["weight_decay"])
    return update.Learner(task, model, optimizer, PROTOCOL["clip"], str)


def steps_of(job: Job, train):
    """The rows of each of attune's steps."""
    from attune.training import batches

    return [
        part
        for epoch in range(job.epochs)
        for part in batches.steps_of(train, batch=PROTOCOL["batch"], by="rows", seed=job.seed, epoch=epoch)
    ]


def trained(job: Job, learner, train, made=None, after=None) -> int:
    """Trains; returns the tokens that were read. `made` makes batches, where not from the rows alone.

    `after` is called with the number of each step that was taken; it ends the training by answering True.
    """
    import torch

    from attune.tasks.features import batch_of
    from attune.training import batches, schedule, update

    steps, tokens = steps_of(job, train), 0
    for step, part in enumerate(steps, 1):
        torch.manual_seed(job.seed * 1_000_003 + step)
        micro = (
            (made or batch_of)(train, chosen) for chosen in batches.micro_batches(train, part, tokens=16384)
        )
        lr = job.lr * schedule.factor(PROTOCOL["schedule"], step - 1, len(steps), PROTOCOL["warmup"])
        tokens += update.update(learner, micro, count=train.count(part), lr=lr).tokens
        if after is not None and after(step):
            break
    return tokens


def run(job: Job, precision: str = "float32", *, start: bool = False) -> dict:
    """One training by attune's update, its test rows predicted at the end.

    With `start` the new head begins as in a run of attune's own.
    """
    import torch

    from attune.models.place import Place
    from attune.training import loop
    from attune.training.start import HeadStart

    torch.set_flush_denormal(True)  # as the command has it
    ready, clock = prepared(job), Clock(job.model)
    learner = learner_of(job, ready, Place.of("cpu", precision))
    train = ready.features["train"]
    with clock.running():
        if start:
            list(HeadStart(ready.task, learner.model).take(train, epochs=job.epochs, seed=job.seed))
        tokens = trained(job, learner, train)
    return (
        clock.told()
        | {"tokens": tokens}
        | score_of(ready, loop.predictions(ready.task, learner.model, ready.features["test"]))
    )
