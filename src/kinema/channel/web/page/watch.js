// The watch page: player, controls, programme and suggestions.

import { controls } from "./controls.js";
import { Player } from "./player.js";
import { programme } from "./programme.js";
import { suggest } from "./suggest.js";

const player = new Player(document.getElementById("video"));
let isOnAir = true;
const buttons = controls(player);
player.isOnAir = () => isOnAir;
programme(player, (on) => {
  isOnAir = on;
  buttons.onAir(on);
});
suggest();
player.start();
