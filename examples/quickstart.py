"""One plant learns from the outcomes of another. Run it in this folder: ``python quickstart.py``."""

import fingerpost

network = fingerpost.MemoryNetwork()
north = fingerpost.Node("pumps.toml", network=network)
south = fingerpost.Node("pumps.toml", network=network)
for hours in range(100, 5000, 100):
    for action, ran_on in (("grease", "yes" if hours < 3000 else "no"), ("replace", "yes")):
        north.emit(situation={"hours": hours, "noise": "hum"}, action=action, outcome=ran_on)
answer = south.ask(situation={"hours": 4200, "noise": "hum"})  # South has no outcomes of its own.
for choice in answer.actions:
    print(f"{choice.action}: ran on {choice.levels[1].probability:.0%}")
south.confirm(answer, situation={"hours": 4200, "noise": "hum"}, action="replace", outcome="yes")
