"""Chats of this project's own making: many short turns on many things, some of which are asked for again at the end."""

from __future__ import annotations

from collections.abc import Sequence

SYSTEM = "You help a small town's community garden and workshop. Be brief."

TURNS = (
    (
        "When should the greenhouse be aired?",
        "From ten in the morning on warm days. The vents open by themselves at 24 degrees and close at 19.",
    ),
    (
        "The band saw makes a strange noise.",
        "Check the lower guide first. Last spring it was replaced with part BG-114; the spare is in the grey cupboard.",
    ),
    (
        "How do I book the big room?",
        "In the calendar by the door. It holds forty people; whoever brings more needs the fire officer's consent.",
    ),
    ("Is there a rule for dogs?", "They may come on a lead, except near the beehives between May and August."),
    ("Which compost heap is ready?", "The left one. Turn the other twice more, and keep meat and citrus out of both."),
    (
        "Please note the plan for the pond.",
        "Noted: it is to be lined with clay, 60 cm deep, with a ramp of flat stones for hedgehogs.",
    ),
    (
        "What does a share cost this year?",
        "A full share is 180, half of that for students, and it includes water and seeds up to 25.",
    ),
    (
        "The kiln did not reach its heat.",
        "Its thermocouple is worn. Until the new one comes, fire no higher than cone 04.",
    ),
    (
        "Who waters in the holidays?",
        "Plots one to twenty in odd weeks, the rest in even weeks. The key to the tap hangs in the tool shed.",
    ),
    (
        "Can we sell honey at the market?",
        "Yes, with a label that names weight, batch and best-before date. The stall is paid until October.",
    ),
    (
        "Something eats the cabbages.",
        "Most likely the white butterfly. Nets with holes of 7 mm keep it off; soap does not help.",
    ),
    ("Where is the long ladder?", "Lent to the library until the 12th. The short one is behind the water butts."),
    (
        "What wood suits outdoor benches?",
        "Larch or robinia. Oak stains where screws are not stainless, as the bench at the gate shows.",
    ),
    (
        "I want to put up a swing.",
        "The chestnut's lowest branch carries 300 kg by the arborist's letter, but only with a wide strap.",
    ),
    (
        "How was the autumn fair?",
        "Good: 214 visitors, and the cider press earned more than the cake stand for the first time.",
    ),
    (
        "What about frost in April?",
        "Cover the apricots once the forecast says minus two. Fleece lies in the red chest.",
    ),
    (
        "The projector shows stripes.",
        "Its cable is loose at the wall. Socket C works; sockets A and B wait for the electrician.",
    ),
    ("How do children join in?", "On Wednesdays from four to six, with a grown-up for each five of them."),
    ("May we burn prunings?", "No, the council forbids it since 2024. The chipper can be rented for 35 a day."),
    (
        "What is left in the seed bank?",
        "Plenty of beans and marigold. Spelt and flax are down to one jar each, so they are not for lending.",
    ),
    (
        "Is the well water safe to drink?",
        "It is not: the laboratory found nitrate at 61 mg, above the limit of 50. For plants it is fine.",
    ),
    ("The lathe trips the fuse.", "Start it with the belt on the slow pulley. A 20 amp breaker is ordered."),
    ("Which bees did we get?", "Two colonies of Buckfast, marked blue, and a swarm of unknown kind in the top hive."),
    ("Where do broken tools go?", "On the blue shelf with a tag. The repair evening is on every first Thursday."),
)

CASES = (
    ("At what warmth do the vents close again?", "open by themselves at 24 degrees and close at 19"),
    (
        "Which part is the spare of the saw?",
        "replaced with part BG-114; the spare is in the grey cupboard",
    ),
    ("How deep will the pond be?", "lined with clay, 60 cm deep, with a ramp of flat stones for hedgehogs"),
    ("How hot may I fire the kiln?", "Until the new one comes, fire no higher than cone 04"),
    ("What size of mesh saves the cabbages?", "Nets with holes of 7 mm keep it off; soap does not help"),
    (
        "How much does the chestnut bear?",
        "lowest branch carries 300 kg by the arborist's letter, but only with a wide strap",
    ),
    ("How many came to the fair?", "214 visitors, and the cider press earned more than the cake stand"),
    ("Which wall socket is good for the projector?", "Socket C works; sockets A and B wait for the electrician"),
    ("What does renting the chipper come to?", "The chipper can be rented for 35 a day"),
    ("What did the laboratory say of the well?", "found nitrate at 61 mg, above the limit of 50"),
    (
        "Which jars are nearly empty in the seed bank?",
        "Spelt and flax are down to one jar each, so they are not for lending",
    ),
    ("When are tools mended?", "The repair evening is on every first Thursday"),
)


def messages() -> list[dict[str, str]]:
    """The chat before the question that comes last."""
    found = [{"role": "system", "content": SYSTEM}]
    for asked, answered in TURNS:
        found += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return found


def with_document(document: str) -> list[dict[str, str]]:
    """The same with a long text pasted in the middle of it."""
    found = messages()
    middle = len(found) // 2 + 1
    pasted = [
        {"role": "user", "content": f"Here is the manual of the software that we run.\n\n{document}"},
        {"role": "assistant", "content": "Thank you. Ask me anything about it."},
    ]
    return [*found[:middle], *pasted, *found[middle:]]


def cases() -> Sequence[tuple[str, str]]:
    return CASES
