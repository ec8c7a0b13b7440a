"""Small invented exports of annotation tools, in the forms that the tools write."""

import csv
import io
import json


def result(control, kind, answer, **more):
    """Return an answer as Label Studio writes it."""
    field = {"pairwise": "selected"}.get(kind, kind)
    return {
        "id": f"r{control}",
        "from_name": control,
        "to_name": "audio",
        "type": kind,
        "value": {field: answer},
    } | more


def annotation(who, *results, day=1, **more):
    """Return an annotation of Label Studio."""
    when = f"2024-03-{day:02d}T10:00:00.000000Z"
    return {
        "id": 100 + day,
        "completed_by": who,
        "result": list(results),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": when,
        "updated_at": when,
    } | more


def task(number, *annotations, drafts=(), **data):
    """Return a task of Label Studio."""
    data = {"audio": f"clip_{number}.wav", "speaker": "s1"} | data
    return {"id": number, "data": data, "annotations": list(annotations), "drafts": list(drafts), "predictions": []}


def label_studio():
    """Return tasks with ratings, numbers and choices by three people, one of whom skipped a task."""
    rated = {
        "valence": lambda value: result("valence", "rating", value),
        "arousal": lambda value: result("arousal", "number", value),
        "emotion": lambda value: result("emotion", "choices", [value]),
    }
    note = {"id": "t", "from_name": "note", "to_name": "audio", "type": "textarea", "value": {"text": ["5"]}}
    return [
        task(
            1,
            annotation(7, rated["valence"](4), rated["arousal"](2.5), rated["emotion"]("sad"), note),
            annotation({"id": 8, "email": "bob@lab.org"}, rated["valence"](2), rated["emotion"]("glad")),
        ),
        task(2, annotation(7, was_cancelled=True), annotation(8, rated["valence"](5), rated["arousal"](1))),
        task(3, drafts=[annotation(9, rated["valence"](1))]),
    ]


def argilla(flat=True):
    """Return records by two users, one of whom left a draft and discarded one, with a rating and a ranking."""
    first, second = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
    order = [{"value": "x", "rank": 2}, {"value": "y", "rank": 1}]
    given = [
        ("r1", "Oh.", "a.wav", {"valence": [(4, first, "submitted"), (2, second, "draft")], "best": [(order, first)]}),
        ("r2", "Ah.", "b.wav", {"valence": [(1, first, "submitted"), (3, second, "discarded")], "best": []}),
        ("r3", "Eh.", "c.wav", {"valence": [(5, second, "submitted")], "best": []}),
    ]
    records = []
    for name, text, clip, responses in given:
        if flat:
            record = {"id": name, "status": "completed", "_server_id": None, "text": text, "clip": clip}
            for question, each in responses.items():
                record[f"{question}.responses"] = [one[0] for one in each] or None
                record[f"{question}.responses.users"] = [one[1] for one in each] or None
                record[f"{question}.responses.status"] = [(*one, "submitted")[2] for one in each] or None
        else:
            answers = {
                question: [{"value": one[0], "user_id": one[1]} for one in each]
                for question, each in responses.items()
                if each
            }
            record = {"id": name, "fields": {"text": text}, "metadata": {"clip": clip}, "responses": answers}
            record |= {"suggestions": {}, "vectors": {}, "status": "completed", "_server_id": None}
        records.append(record)
    return records


def potato_state(user, answers):
    """Return the state of a user of Potato: instance -> scheme -> label -> value."""
    labels = {
        instance: [
            [{"schema": scheme, "name": name}, value]
            for scheme, given in schemes.items()
            for name, value in given.items()
        ]
        for instance, schemes in answers.items()
    }
    return {"user_id": user, "instance_id_ordering": list(answers), "instance_id_to_label_to_value": labels}


POTATO = {
    "ann": {
        "c1": {
            "valence": {"10": "0"},
            "arousal": {"slider": "37"},
            "emotion": {"sad": "sad", "free_response": "hm"},
            "quality": {"voice": "3", "noise": "1"},
        },
        "c2": {"valence": {"4": "4"}, "emotion": {"glad": "true"}},
    },
    "bob": {"c2": {"valence": {"2": "2"}, "arousal": {"slider": "90"}, "emotion": {"select-one": "sad"}}},
}


def write_potato(root):
    """Write the folder that Potato fills."""
    for user, answers in POTATO.items():
        (root / user).mkdir(parents=True)
        (root / user / "user_state.json").write_text(json.dumps(potato_state(user, answers)))
    (root / "exports").mkdir()
    return root


def table(columns, *rows, separator=","):
    """Return a CSV as tools write it, cells with quotes where they need them."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows([columns, *rows])
    return text.getvalue()


MTURK = ["HITId", "AssignmentId", "WorkerId", "AssignmentStatus", "SubmitTime", "Input.audio", "Input.lang"]
MTURK += ["Answer.valence", "Answer.emotion.glad", "Answer.emotion.sad", "Approve", "Reject"]
MTURK_ROWS = [
    ["H1", "A1", "W1", "Approved", "Mon Mar 04 10:00:00 PST 2024", "a.wav", "en", "4", "false", "true", "x", ""],
    ["H1", "A2", "W2", "Submitted", "Mon Mar 04 11:00:00 PST 2024", "a.wav", "en", "2", "true", "false", "", ""],
    ["H2", "A3", "W1", "Rejected", "Mon Mar 04 12:00:00 PST 2024", "b.wav", "en", "1", "true", "false", "", "spam"],
    ["H2", "A4", "W2", "Submitted", "Mon Mar 04 12:00:00 PST 2024", "b.wav", "en", "7", "", "", "", "too fast"],
    ["H2", "A5", "W3", "Submitted", "Mon Mar 04 12:30:00 PST 2024", "b.wav", "en", "5", "true", "false", "", ""],
]

QUALTRICS = ["StartDate", "EndDate", "Status", "Progress", "Finished", "ResponseId", "DistributionChannel"]
QUALTRICS += ["Q5_1", "Q5_2", "Q6_1", "Q6_2", "PROLIFIC_PID"]
QUALTRICS_ROWS = [
    [f"text of {name}" for name in QUALTRICS[:7]] + ["Nice?\n - a", "Nice?\n - b", "Much? - a", "Much? - b", "PID"],
    [json.dumps({"ImportId": name}) for name in QUALTRICS],
    ["", "2024-03-04 10:09:00", "IP Address", "100", "True", "R_1", "anonymous", *"4531", "p1"],
    [
        "2024-03-04 11:00:00",
        "2024-03-04 11:09:00",
        "IP Address",
        "100",
        "True",
        "R_2",
        "anonymous",
        "2",
        "",
        "-99",
        "",
        "p2",
    ],
    [
        "2024-03-04 12:00:00",
        "2024-03-04 12:09:00",
        "IP Address",
        "40",
        "False",
        "R_3",
        "anonymous",
        "1",
        "",
        "",
        "",
        "p3",
    ],
    ["", "2024-03-04 13:09:00", "Survey Preview", "100", "True", "R_4", "preview", *"1111", ""],
]
