"""The English vocabulary of Toyland: patterns for `understand`, and phrases for `describe`."""

from __future__ import annotations

KIND_WORDS: dict[str, str] = {
    "ball": "balls?|spheres?|orbs?|circles?|discs?|disks?|globes?|marbles?",
    "square": "squares?|box(?:es)?|cubes?|blocks?|rectangles?|tiles?",
    "triangle": "triangles?|pyramids?|wedges?",
    "star": "stars?|starfish",
    "heart": "hearts?",
    "ring": "rings?|hoops?|donuts?|doughnuts?|torus",
    "car": "cars?|automobiles?|vehicles?|taxis?|cabs?|sedans?|trucks?",
    "boat": "boats?|ships?|sailboats?|sailing boats?|yachts?|sailing ships?|dinghy|dinghies",
    "fish": "fish|fishes|goldfish|shark|whale",
    "bird": "birds?|sparrows?|chicks?|ducks?|ducklings?|parrots?|robins?|seagulls?|chickens?",
    "balloon": "balloons?|hot air balloons?",
    "rocket": "rockets?|spaceships?|rocket ?ships?|spacecrafts?|starships?|missiles?|shuttles?",
}
COLOR_WORDS: dict[str, str] = {
    "red": "red|crimson|scarlet|ruby|cherry|maroon|vermilion|reddish",
    "orange": "orange|tangerine|amber|apricot|rusty|copper|pumpkin",
    "yellow": "yellow|golden|gold|lemon|canary|mustard|yellowish",
    "green": "green|emerald|lime|olive|jade|mint|greenish",
    "blue": "blue|azure|navy|cobalt|cyan|turquoise|teal|indigo|sapphire|bluish",
    "purple": "purple|violet|lilac|lavender|plum|mauve",
    "pink": "pink|magenta|rosy|rose|salmon|fuchsia",
    "white": "white|ivory|snow white|pale|cream|silver|whitish",
}
BACKGROUND_WORDS: dict[str, str] = {
    "space": "outer space|deep space|space|cosmos|galaxy|galaxies|universe|planets?|nebula|(?:among"
    "|between) (?:the )?stars"
    "|orbit|moon surface|lunar",
    "snow": "snowy|snow ?covered|snowfields?|snow|winter\\w*|arctic|polar|icy|ice|frozen|glacier|alps"
    "|ski slopes?"
    "|mountains?|firs?|pines?",
    "meadow": "meadows?|hills?|hilly|hillside|hilltop|grass\\w*|fields?|prairie|countryside|pastures?"
    "|lawn|valley|park"
    "|farmland",
    "sea": "seas?|oceans?|waves?|water|beach|shore|coast|bay|lake|underwater|seaside",
    "desert": "deserts?|dunes?|sand|sandy|sahara|oasis",
    "city": "city|cities|town|skylines?|skyscrapers?|streets?|buildings?|downtown|urban|roads?|avenue|houses?",
}
LIGHT_WORDS: dict[str, str] = {
    "sunset": "sun ?sets?|sun ?rise|dusk|dawn|twilight|evening|golden hour|setting sun"
    "|(?:the )?sun (?:is setting|goes down)",
    "night": "nights?|night ?time|midnight|moon ?light|moonlit|nocturnal|starry|starlit|darkness|dark"
    "|under (?:the |a )?moon|the moon shines",
    "day": "days?|day ?time|day ?light|noon|midday|morning|afternoon|sunny|sunshine|broad daylight|sunlit",
}
WEATHER_WORDS: dict[str, str] = {
    "snow": "(?:it |it is |it s )?snow(?:ing|s|fall|flakes?|storm)\\b(?: (?:fall|falls|is falling"
    "|are falling|drift down))?"
    "|(?:falling|light|heavy|soft) snow|snow (?:falls|is falling|comes down|drifts down|falling)"
    "|blizzard|flurries",
    "rain": "(?:(?:falling|light|heavy|soft|pouring) )?rain(?:ing|s|y|drops?|fall|storm)?\\b"
    "(?: (?:fall|falls|is falling|are falling|comes down|pours|pours down|falling))?|drizzl\\w+"
    "|showers?|downpour"
    "|wet weather|thunderstorm",
    "none": "clear weather|dry weather|clear sky|clear skies|cloudless|fair weather|no (?:rain|snow)",
}
STYLE_WORDS: dict[str, str] = {
    "crayon": "crayons?|crayoned|(?:drawn|coloured|colored) (?:by hand|in wax)|hand drawn|pastels?|child s drawing|wax",
    "pixel": "pixels?|pixel art|pixelated|pixelart|8 ?bit|16 ?bit|retro game|blocky",
    "neon": "neon|glowing lines|glowing outlines?|fluorescent",
    "flat": "flat|vector|paper cut ?outs?|cut ?out|clean shapes",
}
SIZE_WORDS: dict[str, str] = {"small": "small|little|tiny|mini", "big": "big|large|huge|giant|great"}
HEADING_WORDS: dict[str, str] = {
    "up-left": "(?:up|upwards?|upper|top)(?: and)?(?: to)?(?: the)? left(?:wards?)?|left(?:wards?)? and up(?:wards?)?",
    "up-right": "(?:up|upwards?|upper|top)(?: and)?(?: to)?(?: the)? right(?:wards?)?"
    "|right(?:wards?)? and up(?:wards?)?",
    "down-left": "(?:down|downwards?|lower|bottom)(?: and)?(?: to)?(?: the)? left(?:wards?)?"
    "|left(?:wards?)? and down(?:wards?)?",
    "down-right": "(?:down|downwards?|lower|bottom)(?: and)?(?: to)?(?: the)? right(?:wards?)?"
    "|right(?:wards?)? and down(?:wards?)?",
}
# In order of precedence.
MOTION_WORDS: tuple[tuple[str, str], ...] = (
    ("bounce", "bounc\\w+(?: up and down)?|hop(?:s|ping)?\\b(?: up and down)?|jump\\w*(?: up and down)?"
    "|up and down"),
    ("circle", "(?:round )?in (?:a |wide |big |small )?(?:circles?|loops?)|in (?:a )?(?:round"
    "|circular) (?:path|motion)"
     "|(?:a )?circular (?:path|motion)|circles around|round and round|around and around|circl(?:ing"
    "|es around)"
     "|orbits|orbiting|loops|looping"),
    ("diagonal", "diagonal(?:ly)?"),
    ("right", "(?:from )?(?:the )?left to (?:the )?right"),
    ("left", "(?:from )?(?:the )?right to (?:the )?left"),
    ("left", "leftwards?|left"),
    ("right", "rightwards?|right"),
    ("stay", "stays?(?: still| in place| put)?|staying(?: still)?|stands?(?: still)?"
    "|standing(?: still)?|still|motionless"
     "|stationary|rests?|resting|waits?|waiting|hovers?(?: in place)?|hovering|(?:does not|doesn t"
    "|do not|without|not) mov\\w+"
     "|holds still|sits?(?: still)?|sitting"),
    ("up", "upwards?|up|rises?|rising|climb(?:s|ing)?|ascend(?:s|ing)?|lifts? off|lifting off"
    "|takes? off|soars?|soaring"),
    ("down", "downwards?|down|falls?|falling|sinks?|sinking|drops?|dropping|descend(?:s|ing)?|dives?|diving"),
)  # fmt: skip
CHANGE_WORDS: dict[str, str] = {
    "grow": "grow(?:s|ing)?(?: bigger| larger)?|(?:gets?|getting|becom(?:es?|ing)) (?:bigger|larger)"
    "|swell(?:s|ing)?"
    "|expand(?:s|ing)?|inflat(?:es|ing)",
    "shrink": "shrink(?:s|ing)?|(?:gets?|getting|becom(?:es?|ing)|grow(?:s|ing)?) smaller|dwindl(?:es"
    "|ing)|deflat(?:es|ing)",
}
SPIN_WORDS = (
    "spin(?:s|ning)?(?: around)?|rotat(?:e|es|ing)|twirl(?:s|ing)?|whirl(?:s|ing)?"
    "|turns? around|turning around|tumbl\\w+"
)

CAMERA_SUBJECT = "camera|view|viewpoint|shot|lens|we|footage"
# (move, pattern, does the pattern also apply outside clauses about the camera?)
CAMERA_MOVES: tuple[tuple[str, str, bool], ...] = (
    ("zoom-in", "zoom\\w* (?:slowly |gently )?(?:in|into|closer|toward|towards)\\b|dolly in|dollies in"
    "|push\\w* in", True),
    ("zoom-out", "zoom\\w* (?:slowly |gently )?(?:out|away|back)\\b|dolly out|dollies out"
    "|pull\\w* (?:back|out|away)", True),
    ("pan-left", "pan(?:s|ning)? (?:slowly |gently )?(?:to the |to )?left", True),
    ("pan-right", "pan(?:s|ning)? (?:slowly |gently )?(?:to the |to )?right", True),
    ("tilt-up", "tilt(?:s|ing)? (?:slowly |gently )?up", True),
    ("tilt-down", "tilt(?:s|ing)? (?:slowly |gently )?down", True),
    ("roll-left", "(?:roll\\w*|rotat\\w+|turns?|turning|tilts?|spins?)\\b.*\\b(?:left"
    "|counter ?clockwise|anti ?clockwise)", False),
    ("roll-right", "(?:roll\\w*|rotat\\w+|turns?|turning|tilts?|spins?)\\b.*\\b(?:right|clockwise)", False),
    ("zoom-in", "closer|nearer|forwards?|approach\\w*", False),
    ("zoom-out", "away|backwards?|farther|further|retreat\\w*", False),
    ("still", "still|static|fixed|steady|(?:does not|doesn t|do not|never) move|not moving|stays|locked"
    "|stationary|tripod", False),
    ("pan-left", "left", False),
    ("pan-right", "right", False),
    ("tilt-up", "up|upwards|rises", False),
    ("tilt-down", "down|downwards|sinks", False),
)  # fmt: skip

# Phrases for captions. Each follows the object; "{go}" is the object's own verb.
GO: dict[str, tuple[str, ...]] = {
    "ball": ("rolls", "moves"), "square": ("slides", "moves"), "triangle": ("slides", "moves"),
    "star": ("floats", "moves"), "heart": ("floats", "moves"), "ring": ("rolls", "moves"),
    "car": ("drives", "moves"), "boat": ("sails", "moves"), "fish": ("swims", "moves"),
    "bird": ("flies", "moves"),
    "balloon": ("drifts", "floats", "moves"), "rocket": ("flies", "moves"),
}  # fmt: skip
SAY_MOTION: dict[str, tuple[str, ...]] = {
    "left": ("{go} left", "{go} to the left", "goes left", "{go} from right to left"),
    "right": ("{go} right", "{go} to the right", "goes right", "{go} from left to right"),
    "up": ("{go} up", "rises", "goes up", "climbs up"),
    "down": ("{go} down", "sinks", "goes down", "falls down"),
    "circle": ("{go} in a circle", "{go} in circles", "goes round and round", "{go} in a circle"),
    "bounce": ("bounces", "bounces up and down", "hops up and down", "jumps up and down"),
    "stay": ("stays still", "does not move", "stays in place", "rests"),
}
SAY_HEADING = {
    "up-left": ("up and to the left", "up to the left", "to the upper left"),
    "up-right": ("up and to the right", "up to the right", "to the upper right"),
    "down-left": ("down and to the left", "down to the left", "to the lower left"),
    "down-right": ("down and to the right", "down to the right", "to the lower right"),
}
SAY_CHANGE = {"grow": ("grows", "gets bigger"), "shrink": ("shrinks", "gets smaller")}
SAY_SPIN = ("spins", "rotates")
SAY_PLACE: dict[str, tuple[str, ...]] = {
    "meadow": ("in a meadow", "over a green hill", "in a green field", "over the grass", "over green hills"),
    "sea": ("at sea", "over the sea", "over the ocean", "above the waves"),
    "desert": ("in the desert", "over sand dunes", "over the desert sand"),
    "city": ("in the city", "in front of a skyline", "over a city street", "in front of buildings"),
    "snow": ("in a snowy landscape", "over snowy mountains", "in a winter landscape", "over a snowy field"),
    "space": ("in space", "in outer space", "in front of a planet"),
}
SAY_LIGHT: dict[str, tuple[str, ...]] = {
    "day": ("by day", "in daylight", "during the day"),
    "sunset": ("at sunset", "at dusk", "in the evening"),
    "night": ("at night", "on a dark night", "in the dark"),
}
SAY_WEATHER: dict[str, tuple[str, ...]] = {
    "none": ("in clear weather",),
    "rain": ("in the rain", "while it rains", "as rain falls"),
    "snow": ("while it snows", "as snowflakes fall", "in falling snow"),
}
SAY_CAMERA: dict[str, tuple[str, ...]] = {
    "still": ("the camera does not move", "static camera", "fixed shot"),
    "pan-left": ("the camera pans left", "camera panning to the left"),
    "pan-right": ("the camera pans right", "camera panning to the right"),
    "tilt-up": ("the camera tilts up", "camera tilting up"),
    "tilt-down": ("the camera tilts down", "camera tilting down"),
    "zoom-in": ("the camera zooms in", "camera zooming in", "the camera moves closer"),
    "zoom-out": ("the camera zooms out", "camera zooming out", "the camera moves away"),
    "roll-left": ("the camera rolls left", "camera rolling to the left"),
    "roll-right": ("the camera rolls right", "camera rolling to the right"),
}
SAY_STYLE: dict[str, tuple[str, ...]] = {
    "flat": ("flat style", "flat drawing"),
    "crayon": ("crayon style", "crayon drawing"),
    "pixel": ("pixel art", "pixel style"),
    "neon": ("neon style", "neon drawing"),
}
