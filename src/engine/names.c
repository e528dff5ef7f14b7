/* names.c - names for containers that nobody named: a property and a thing of harbours and boats. 64 x 64 pairs. */
#include "engine/container_check.h"

static const char left[][12] = {
	"able",  "agile",  "amber",   "azure",  "bold",   "brave",  "breezy", "bright", "brisk", "calm",   "candid",
	"clear", "clever", "crisp",   "daring", "deep",   "eager",  "early",  "even",   "fair",  "fast",   "fine",
	"firm",  "fond",   "fresh",   "gentle", "glad",   "golden", "grand",  "green",  "handy", "hardy",  "honest",
	"jolly", "keen",   "kind",    "light",  "lively", "loyal",  "lucid",  "mellow", "merry", "mighty", "modest",
	"neat",  "noble",  "patient", "plucky", "polite", "proud",  "quick",  "quiet",  "rapid", "ready",  "robust",
	"salty", "silent", "sober",   "steady", "sturdy", "swift",  "tidy",   "trusty", "witty",
};
static const char right[][12] = {
	"anchor",   "barge",   "beacon",  "bollard", "bosun",   "bow",     "brig",    "bulwark", "buoy", "cabin",
	"canoe",    "capstan", "clipper", "coracle", "crane",   "cutter",  "deck",    "dinghy",  "dock", "dory",
	"ferry",    "fjord",   "frigate", "galley",  "harbour", "hawser",  "helm",    "hold",    "hull", "jetty",
	"junk",     "kayak",   "keel",    "ketch",   "lagoon",  "lantern", "lighter", "mast",    "mole", "mooring",
	"oar",      "paddle",  "pier",    "pilot",   "pinnace", "quay",    "rigger",  "rudder",  "sail", "sampan",
	"schooner", "sextant", "skiff",   "sloop",   "sonar",   "sound",   "spar",    "tender",  "tide", "tiller",
	"trawler",  "tug",     "wharf",   "yawl",
};

char *name_generate(void)
{
	unsigned char r[2] = { 0 };

	if (random_bytes(r, sizeof r) < 0)
		abort();
	return xasprintf("%s_%s", left[r[0] % ARRAY_LEN(left)], right[r[1] % ARRAY_LEN(right)]);
}
