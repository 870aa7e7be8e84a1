// The page: asks /status every few seconds, and puts, gets and deletes values under /kv/.

const PERIOD = 5000;
const PATIENCE = 8000;
const SAMPLES = 60;
const SHOWN_BYTES = 20000;
const CHART = { width: 300, height: 72, gap: 1 };

const element = (id) => document.getElementById(id);
// Milliseconds of each query, null where there was no answer.
const samples = [];

function show(id, text) {
  const node = element(id);
  // Writing the same words again would have them read out again.
  if (node.textContent !== text) node.textContent = text;
}

function showState(id, service, words) {
  const node = element(id);
  node.classList.toggle("ok", service.ok);
  node.classList.toggle("away", !service.ok);
  show(id, service.ok ? words : `Away (${service.reason}): ${service.message}`);
}

const milliseconds = (number) => `${number.toFixed(number < 10 ? 2 : 0)} ms`;

function showRedis(redis) {
  showState("redis-state", redis, redis.ok ? `Answers: ${redis.server} ${redis.server_version}` : "");
}

function showPostgres(postgres) {
  showState("postgres-state", postgres, postgres.ok ? "Answers, and can be written to" : "");
  element("facts").classList.toggle("stale", !postgres.ok);
  samples.push(postgres.ok ? postgres.latency_ms : null);
  if (samples.length > SAMPLES) samples.shift();
  drawChart();
  show("latency", postgres.ok ? milliseconds(postgres.latency_ms) : "no answer");
  if (!postgres.ok) return;
  show("server-version", postgres.server_version);
  show("database", postgres.database);
  show("user", postgres.user);
  const open = postgres.connections === 1 ? "1 is open" : `${postgres.connections} are open`;
  show("connection", `${postgres.new_connection ? "new for this query" : "kept from before"}; ${open}`);
}

function drawChart() {
  const highest = Math.max(1, ...samples.filter((sample) => sample !== null));
  const step = CHART.width / SAMPLES;
  const bars = samples.map((sample, index) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = sample === null ? CHART.height : Math.max(2, (sample / highest) * CHART.height);
    bar.setAttribute("x", (SAMPLES - samples.length + index) * step);
    bar.setAttribute("y", CHART.height - height);
    bar.setAttribute("width", step - CHART.gap);
    bar.setAttribute("height", height);
    if (sample === null) bar.classList.add("failed");
    return bar;
  });
  element("chart").replaceChildren(...bars);
}

function unreachable(words) {
  element("unreachable").classList.toggle("shown", words !== "");
  show("unreachable", words);
}

async function ask(path, options = {}) {
  try {
    const response = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE) });
    unreachable("");
    return response;
  } catch {
    unreachable("http-demo does not answer. This page tries again by itself.");
    return null;
  }
}

let asking = false;
async function refresh() {
  if (asking) return;
  asking = true;
  const status = await ask("/status").then((response) => (response?.ok ? response.json() : null)).catch(() => null);
  asking = false;
  if (!status) return;
  show("version", status.version);
  element("ttl").max = status.limits.max_ttl;
  show("ttl-hint", `1 to ${status.limits.max_ttl}; then Redis forgets it. Empty: ${status.limits.default_ttl}.`);
  showRedis(status.redis);
  showPostgres(status.postgres);
}

function showAnswer(request, words, bad, content) {
  element("answer").hidden = false;
  show("request", request);
  show("result", words);
  element("result").classList.toggle("bad", bad);
  element("content").hidden = content === undefined;
  show("content", content ?? "");
}

async function sendValue(method) {
  const key = element("key").value;
  const ttl = element("ttl").value;
  const path = `/kv/${encodeURIComponent(key)}${method === "PUT" && ttl !== "" ? `?ttl=${ttl}` : ""}`;
  const request = `${method} ${path}`;
  const options = { method };
  if (method === "PUT") {
    options.body = element("value").value;
    options.headers = { "Content-Type": "text/plain; charset=utf-8" };
  }
  const response = await ask(path, options);
  if (!response) {
    showAnswer(request, "No answer.", true);
    return;
  }
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    showAnswer(request, `${response.status}: ${body?.error?.message ?? response.statusText}`, true);
    if (response.status === 503) refresh();
    return;
  }
  if (method === "GET") {
    const type = response.headers.get("Content-Type") ?? "";
    const bytes = new Uint8Array(await response.arrayBuffer());
    const readable = /^(text\/|application\/(json|xml))/.test(type) && bytes.length <= SHOWN_BYTES;
    const words = `200: ${bytes.length} bytes of ${type}, kept for ${response.headers.get("TTL")} s more.`;
    showAnswer(request, words, false, readable ? new TextDecoder().decode(bytes) : undefined);
    return;
  }
  const words = {
    201: "201: put; there was none before.",
    204: method === "PUT" ? "204: put in the place of the one before." : "204: deleted.",
  };
  showAnswer(request, words[response.status] ?? String(response.status), false);
}

element("kv").addEventListener("submit", (event) => {
  event.preventDefault();
  sendValue(event.submitter?.dataset.method ?? "PUT");
});
element("query").addEventListener("click", refresh);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
for (const node of document.querySelectorAll(".origin")) node.textContent = location.origin;
setInterval(() => {
  if (!document.hidden) refresh();
}, PERIOD);
refresh();
