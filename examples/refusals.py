"""Print how requests that a model does not support are refused: before weights load, with the nearest legal value."""

import kinema

for fields in ({"width": 832, "height": 480}, {"frames": 18}, {"steps": 0}, {"options": {"shift": "fast"}}):
    try:
        kinema.plan("a red ball", **fields)
    except kinema.RequestError as error:
        print(f"{error.field}: {error}")
