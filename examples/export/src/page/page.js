'use strict';

// Everything that the page shows of one download; `null` when none has begun.
let run = null;

const at = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat('en');

const NAMES = {
  idle: 'Ready',
  running: 'Running',
  paused: 'Paused',
  complete: 'Complete',
  cancelled: 'Cancelled',
  failed: 'Failed',
};

class Run {
  constructor(total) {
    this.total = total;
    this.rows = 0;
    this.bytes = 0;
    this.state = 'running';
    this.controller = new AbortController();
    this.resume = null; // what wakes the reading while it is paused
    this.millis = 0; // the time before the last pause
    this.since = performance.now();
    this.rates = []; // [time, rows] of the last two seconds
    this.tail = '';
  }

  elapsed() {
    return this.millis + (this.state === 'running' ? performance.now() - this.since : 0);
  }

  stop(state) {
    this.millis = this.elapsed();
    this.state = state;
  }

  // Rows a second over the last two seconds; over all when it is done.
  rate() {
    if (this.state === 'paused') return 0;
    if (this.state !== 'running') return this.millis > 0 ? (this.rows * 1000) / this.millis : 0;
    const now = performance.now();
    this.rates.push([now, this.rows]);
    while (this.rates.length > 2 && this.rates[0][0] < now - 2000) this.rates.shift();
    const [time, rows] = this.rates[0];
    return now > time ? ((this.rows - rows) * 1000) / (now - time) : 0;
  }
}

function question() {
  const question = new URLSearchParams();
  for (const [name, value] of new FormData(at('form'))) {
    if (value.trim() !== '') question.set(name, value.trim());
  }
  return `export?${question}`;
}

function expected() {
  const rows = Number(at('table').selectedOptions[0]?.dataset.rows ?? 0);
  const limit = at('limit').value.trim();
  return /^\d+$/.test(limit) ? Math.min(rows, Number(limit)) : rows;
}

async function start() {
  run?.controller.abort();
  const mine = new Run(expected());
  run = mine;
  at('last').textContent = 'Waiting for the first row …';
  show();
  let id = null;
  try {
    const response = await fetch(question(), { signal: mine.controller.signal });
    if (!response.ok) throw new Refused((await response.text()).trim());
    id = response.headers.get('x-export');
    await read(mine, response.body.getReader(), at('format').value === 'csv');
    mine.stop('complete');
  } catch (error) {
    if (mine.state === 'cancelled') return;
    mine.stop('failed');
    mine.error = error instanceof Refused ? error.message : await reason(id, error);
  } finally {
    if (run === mine) show();
  }
}

class Refused extends Error {}

// Counts the rows. What is not read stays with the server.
async function read(mine, reader, hasHead) {
  const decoder = new TextDecoder();
  let lines = hasHead ? -1 : 0;
  let inQuotes = false;
  for (;;) {
    if (mine.state === 'paused') await new Promise((resume) => (mine.resume = resume));
    const { done, value } = await reader.read();
    if (done) return;
    mine.bytes += value.length;
    for (const byte of value) {
      if (byte === 34 && hasHead) inQuotes = !inQuotes; // A line end within quotes is no end of a row.
      else if (byte === 10 && !inQuotes) lines += 1;
    }
    mine.rows = Math.max(lines, 0);
    mine.tail = (mine.tail + decoder.decode(value, { stream: true })).slice(-4000);
  }
}

// A connection that is broken off cannot tell why; the server still knows.
async function reason(id, error) {
  try {
    const outcome = await (await fetch(`exports/${id}`)).json();
    if (outcome.error) return outcome.error;
  } catch {
    // The server is gone: what the browser says must do.
  }
  return `the connection was broken off (${error.message})`;
}

function pause() {
  if (run?.state === 'running') {
    run.stop('paused');
  } else if (run?.state === 'paused') {
    run.state = 'running';
    run.since = performance.now();
    run.rates = [];
    run.resume?.();
  }
  show();
}

function cancel() {
  if (run === null || !isActive(run)) return;
  run.stop('cancelled');
  run.controller.abort();
  show();
}

const isActive = (some) => some.state === 'running' || some.state === 'paused';

function show() {
  const state = run?.state ?? 'idle';
  const badge = at('state');
  if (badge.dataset.state !== state) {
    badge.dataset.state = state;
    badge.textContent = NAMES[state];
  }
  const active = run !== null && isActive(run);
  at('pause').disabled = at('cancel').disabled = !active;
  at('pause').textContent = state === 'paused' ? 'Resume' : 'Pause';
  at('start').textContent = run === null ? 'Start' : 'Restart';
  if (run === null) return;
  const share = run.total > 0 ? Math.min(run.rows / run.total, 1) : Number(state === 'complete');
  at('bar').value = share;
  at('bar').dataset.state = state;
  at('percent').textContent = `${Math.floor(share * 100)} %`;
  at('rows').textContent = whole.format(run.rows);
  at('rows').dataset.rows = run.rows;
  at('rate').textContent = whole.format(Math.round(run.rate()));
  at('size').textContent = `${(run.bytes / 1e6).toFixed(1)} MB`;
  at('time').textContent = `${(run.elapsed() / 1000).toFixed(1)} s`;
  if (run.tail !== '') at('last').textContent = run.tail.split('\n').slice(-11).join('\n').trim();
  else if (!active) at('last').textContent = 'No rows.';
  const error = at('error');
  error.hidden = state !== 'failed';
  if (!error.hidden && error.dataset.text !== run.error) {
    error.dataset.text = run.error;
    const rows = run.rows === 1 ? '1 row is' : `${whole.format(run.rows)} rows are`;
    const title = document.createElement('strong');
    title.textContent = run.rows > 0 ? `Failed: ${rows} here, and that is not all.` : 'Failed: there are no rows.';
    error.replaceChildren(title, run.error);
  }
}

async function stats() {
  try {
    const now = await (await fetch('stats')).json();
    at('running').textContent = whole.format(now.queries_running);
    at('made').textContent = whole.format(now.rows_made);
    at('handed').textContent = whole.format(now.rows_handed_on);
    at('ahead').textContent = whole.format(now.rows_made - now.rows_handed_on);
    at('batch').textContent = now.batch;
  } catch {
    at('running').textContent = '–'; // The server is gone.
  }
}

async function tables() {
  try {
    const response = await fetch('tables');
    if (!response.ok) throw new Error((await response.text()).trim());
    for (const { name, rows } of await response.json()) {
      const option = new Option(rows === null ? name : `${name} – ${whole.format(rows)} rows`, name);
      option.dataset.rows = rows ?? 0;
      at('table').append(option);
    }
    save();
  } catch (error) {
    at('error').hidden = false;
    at('error').textContent = error.message;
  }
}

function save() {
  at('save').href = question();
}

at('form').addEventListener('submit', (event) => {
  event.preventDefault();
  start();
});
at('form').addEventListener('input', save);
at('pause').addEventListener('click', pause);
at('cancel').addEventListener('click', cancel);
setInterval(() => run !== null && isActive(run) && show(), 100);
setInterval(stats, 500);
tables();
stats();
