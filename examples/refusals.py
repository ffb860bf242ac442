"""What a model cannot do is refused before any weights load, with the nearest legal value and who can."""

import kinema

for fields in ({"width": 832, "height": 480}, {"frames": 18}, {"steps": 0}, {"options": {"shift": "fast"}}):
    try:
        kinema.plan("a red ball", **fields)
    except kinema.RequestError as error:
        print(f"{error.field}: {error}")
