"""The script of a prediction's page: the video and the charts follow each other. It needs no library.

Times are in the unit of the page: seconds, or frames if the video has no times.
"""

from base64 import b64encode
from hashlib import sha256

FUNCTIONS = """
"use strict";
const SAME = 0.001;
function clamp(value, low, high) { return Math.min(Math.max(value, low), high); }
function clock(time, unit) {
  if (unit !== "seconds") return "frame " + Math.round(time);
  const tenths = Math.round(time * 10), whole = Math.floor(tenths / 10);
  const pad = number => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = pad(whole % 60) + "." + tenths % 10;
  return hours ? hours + ":" + pad(minutes) + ":" + rest : minutes + ":" + rest;
}
function firstAfter(rising, time) {
  let low = 0, high = rising.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rising[middle] > time) high = middle; else low = middle + 1;
  }
  return low;
}
function windowAt(person, time) {
  const place = firstAfter(person.starts, time) - 1;
  return place >= 0 && time < person.ends[place] ? place : -1;
}
function neighbour(middles, time, step) {
  const place = step > 0 ? firstAfter(middles, time + SAME) : firstAfter(middles, time - SAME) - 1;
  return place >= 0 && place < middles.length ? middles[place] : null;
}
function timeOf(search, end) {
  const asked = new URLSearchParams(search).get("t");
  const time = asked === null || asked.trim() === "" ? NaN : Number(asked);
  return Number.isFinite(time) ? clamp(time, 0, end) : null;
}
function sentence(data, person, time) {
  const at = clock(time, data.unit), place = windowAt(person, time);
  if (place < 0) return at + ": no window here";
  if (person.answers[place] < 0) return at + ": no answer";
  const face = person.faces.length && person.faces[place] >= 0
    ? "; face-only run: " + data.classes[person.faces[place]] : "";
  const percent = data.probability + " " + person.percents[place] + "%";
  return at + ": " + data.classes[person.answers[place]] + ", " + percent + face;
}
"""
"""Functions without a document, which tests call one by one."""

_MAIN = """
const data = JSON.parse(document.body.dataset.timeline);
const video = document.querySelector("video");
const charts = [...document.querySelectorAll(".chart")];
const nows = [...document.querySelectorAll(".now")];
let position = 0, active = 0, remembered = 0;
function show(time) {
  position = time;
  const left = data.end > 0 ? 100 * clamp(time / data.end, 0, 1) + "%" : "0";
  charts.forEach((chart, number) => {
    const text = sentence(data, data.people[number], time);
    chart.querySelector(".cursor").style.left = left;
    chart.setAttribute("aria-valuenow", String(Math.round(time * 10) / 10));
    chart.setAttribute("aria-valuetext", text);
    nows[number].textContent = text;
  });
}
function remember() {
  remembered = Date.now();
  const address = new URL(location.href);
  address.searchParams.set("t", String(Math.round(position * 1000) / 1000));
  try { history.replaceState(null, "", address); } catch (error) { /* not allowed for some file: pages */ }
}
function seek(time) {
  const to = clamp(time, 0, data.end);
  if (video) video.currentTime = to;
  show(to);
  if (!video) remember();
}
function follow() {
  show(video.currentTime);
  if (!video.paused && !video.ended) requestAnimationFrame(follow);
}
function openExplanation(hash) {
  const found = hash.length > 1 && document.getElementById(hash.slice(1));
  if (found && "open" in found) found.open = true;
}
charts.forEach((chart, number) => {
  chart.addEventListener("focus", () => { active = number; });
  chart.addEventListener("click", event => {
    const box = chart.getBoundingClientRect();
    active = number;
    seek(data.end * (event.clientX - box.left) / box.width);
  });
});
document.addEventListener("keydown", event => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest && event.target.closest("video,.wide,input,select,textarea")) return;
  const onChart = event.target.closest && event.target.closest(".chart");
  if (event.key === " " && onChart && video) {
    event.preventDefault();
    if (video.paused) video.play(); else video.pause();
    return;
  }
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const person = data.people[active];
  if (!step || !person) return;
  event.preventDefault();
  const to = neighbour(person.middles, position, step);
  if (to !== null) seek(to);
});
document.querySelectorAll(".marks a").forEach(mark => mark.addEventListener("click", () => {
  openExplanation(mark.hash);
  seek(Number(mark.dataset.time));
}));
if (video) {
  video.addEventListener("play", follow);
  for (const name of ["seeking", "seeked", "timeupdate"])
    video.addEventListener(name, () => show(video.currentTime));
  for (const name of ["seeked", "pause"]) video.addEventListener(name, remember);
  video.addEventListener("timeupdate", () => { if (Date.now() - remembered > 2000) remember(); });
}
const asked = timeOf(location.search, data.end);
show(asked === null ? 0 : asked);
if (asked !== null && video) {
  if (video.readyState > 0) seek(asked);
  else video.addEventListener("loadedmetadata", () => seek(asked), { once: true });
}
openExplanation(location.hash);
"""

SCRIPT = FUNCTIONS + _MAIN
"""The whole script."""


def script_source() -> str:
    """Return the source of the script for a content security policy: the hash of its text."""
    return f"'sha256-{b64encode(sha256(SCRIPT.encode()).digest()).decode()}'"
