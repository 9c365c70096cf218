'use strict';
(() => {
  const by = id => document.getElementById(id);
  const inputs = {packet: by('packet'), policy: by('policy'), proof: by('proof'), headers: by('headers')};
  const form = by('form'), start = by('start'), state = by('state'), out = by('report'), drop = by('drop');
  const files = {};
  let worker = null;

  // What records hold is text and never markup; what cannot be seen, or turns
  // the direction of text, stands by its number.
  const shown = text => String(text).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu,
    c => '\u27e8U+' + c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0') + '\u27e9');
  const element = (name, text, style) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = shown(text);
    if (style) made.className = style;
    return made;
  };
  const within = (name, children, style) => {
    const made = element(name, undefined, style);
    made.append(...children);
    return made;
  };

  const ready = () => {
    start.disabled = !files.packet || worker !== null;
    if (worker === null) state.textContent = files.packet ? shown(files.packet.name) + ' is ready.' : 'Choose a packet first.';
  };
  const kind = name => name.endsWith('.proof.json') ? 'proof' : name.endsWith('.toml') ? 'policy'
    : name.endsWith('.zip') ? 'packet' : name.endsWith('.txt') ? 'headers' : null;
  for (const [name, input] of Object.entries(inputs)) {
    input.addEventListener('change', () => { files[name] = input.files[0]; ready(); });
  }
  for (const event of ['dragover', 'dragenter']) {
    document.addEventListener(event, e => { e.preventDefault(); drop.classList.add('over-it'); });
  }
  document.addEventListener('dragleave', () => drop.classList.remove('over-it'));
  document.addEventListener('drop', e => {
    e.preventDefault();
    drop.classList.remove('over-it');
    for (const file of e.dataTransfer.files) {
      const name = kind(file.name);
      if (!name) { state.textContent = shown(file.name) + ': not a packet, policy, proof or header file by its name.'; continue; }
      const list = new DataTransfer();
      list.items.add(file);
      inputs[name].files = list.files;
      files[name] = file;
      ready();
    }
  });

  const WORDS = {
    verified: ['good', 'Verified', 'Everything that was recorded is intact.'],
    failed: ['bad', 'Failed', 'Something is wrong: see the findings marked ERROR.'],
    inconclusive: ['warn', 'Inconclusive', 'Nothing wrong was seen, but see what was not checked.'],
  };
  const MARKS = {error: 'ERROR', warning: 'Warning', info: 'Info'};
  const RANK = {error: 0, warning: 1, info: 2};

  const pairs = object => {
    const list = element('dl');
    for (const [name, value] of Object.entries(object)) {
      list.append(element('dt', name), element('dd', typeof value === 'object' ? JSON.stringify(value) : value, 'mono'));
    }
    return list;
  };
  const list = (title, items, style) => items.length ? [element('h2', title), within('ul', items, style || 'list')] : [];

  const finding = found => {
    const item = element('li', undefined, found.severity);
    item.append(within('p', [element('b', MARKS[found.severity] || found.severity), element('code', found.code)]), element('p', found.message));
    const more = {...found.where};
    for (const name of ['expected', 'got']) if (found[name] !== undefined) more[name] = found[name];
    if (Object.keys(more).length) item.append(pairs(more));
    return item;
  };

  const show = (report, raw) => {
    const [style, title, words] = WORDS[report.verdict];
    const head = element('h2', title);
    head.id = 'verdict';
    const gaps = decisive => report.not_checked.filter(gap => gap.decisive === decisive)
      .map(gap => element('li', gap.what + ': ' + gap.why));
    const findings = [...report.findings].sort((a, b) => (RANK[a.severity] ?? 3) - (RANK[b.severity] ?? 3));
    const kept = {};
    for (const {code, where: {seq, to_seq: to}} of findings) kept[code] = (kept[code] || 0) + (to === undefined ? 1 : to - seq + 1);
    const more = Object.entries(report.finding_counts).filter(([code, count]) => count > (kept[code] || 0))
      .map(([code, count]) => element('p', code + ': ' + count + ' in all', 'soft'));
    const anchors = (report.anchors || []).map(anchor => within('li', [pairs(anchor)]));
    const json = within('details', [element('summary', 'The report as JSON, as provctl verify --json prints it'), element('pre', raw)]);
    json.lastChild.id = 'json';
    out.replaceChildren(
      within('div', [head, element('p', words)], 'verdict ' + style),
      ...list('Not checked, so there is no verdict', gaps(true)),
      ...list('Findings', findings.map(finding), 'findings'), ...more,
      element('h2', 'Checked'), pairs(report.checked),
      ...(report.head ? [element('h2', 'Last record'), pairs(report.head)] : []),
      ...list('Anchors', anchors, 'findings'),
      ...list('Not checked', gaps(false)),
      json);
  };
  const fail = why => {
    const head = element('h2', 'No report');
    head.id = 'verdict';
    out.replaceChildren(within('div', [head, element('p', why)], 'verdict warn'));
  };
  const done = words => {
    worker.terminate();
    worker = null;
    out.hidden = false;
    ready();
    state.textContent = words;
    out.focus();
  };

  form.addEventListener('submit', e => {
    e.preventDefault();
    if (!files.packet || worker !== null) return;
    out.hidden = true;
    state.textContent = 'Reading\u2026';
    const code = by('wasm').textContent.trim();
    const wasm = Uint8Array.from(atob(code), c => c.charCodeAt(0));
    const url = URL.createObjectURL(new Blob([by('worker').textContent], {type: 'text/javascript'}));
    try {
      worker = new Worker(url);
    } catch (error) {
      out.hidden = false;
      fail('This browser runs no worker from a page: ' + error.message);
      return;
    }
    start.disabled = true;
    worker.onerror = error => { fail('The verification ended: ' + (error.message || 'no reason given')); done('Ended.'); };
    worker.onmessage = ({data}) => {
      if (data.progress !== undefined) {
        state.textContent = data.progress.toLocaleString('en') + ' records read\u2026';
        return;
      }
      const report = data.answer === undefined ? {error: data.error} : JSON.parse(data.answer);
      if (report.error !== undefined) fail(report.error); else show(report, data.answer);
      done('Done.');
    };
    worker.postMessage({wasm, packet: files.packet, policy: files.policy, proof: files.proof, headers: files.headers});
  });
  ready();
})();
