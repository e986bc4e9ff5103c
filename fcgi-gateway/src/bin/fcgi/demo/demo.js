"use strict";

// Fills `place` with the records of an exchange. They are complete only when its answer is, so this comes after it.
async function showTrace(place, exchange) {
  const answer = await fetch(`/trace/${exchange}?part`);
  if (answer.ok) {
    place.innerHTML = await answer.text();
  }
}

// Shows a response piece by piece, as it comes.
async function showStream(start, text) {
  start.disabled = true;
  text.hidden = false;
  text.textContent = "";
  const answer = await fetch("/stream");
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      break;
    }
    text.textContent += value;
  }
  start.disabled = false;
  await showTrace(document.getElementById("stream-trace"), answer.headers.get("X-Exchange"));
}

const trace = document.getElementById("trace");
if (trace) {
  showTrace(trace, trace.dataset.exchange);
}

const start = document.getElementById("stream-start");
if (start) {
  start.hidden = false;
  start.addEventListener("click", () => showStream(start, document.getElementById("stream")));
}
