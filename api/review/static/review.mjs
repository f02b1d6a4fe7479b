// Entry of every page. Each module improves what it finds; without them the pages work as plain forms.
import "./view.mjs";
import "./viewer.mjs";
import "./compare.mjs";
import "./player.mjs";
import "./mask.mjs";
import "./notes.mjs";
import "./params.mjs";
import "./live.mjs";
import { listen as listenToKeys } from "./keys.mjs";
import { listen as listenToDecisions } from "./decide.mjs";
import { listen as listenToEdits } from "./edit.mjs";
import { listen as listenToList } from "./list.mjs";
import { listen as listenToVisits } from "./visit.mjs";

listenToDecisions();
listenToEdits();
listenToList();
listenToVisits();
listenToKeys();
document.documentElement.dataset.ready = "true";
