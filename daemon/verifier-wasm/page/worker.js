'use strict';
// Judges one packet, away from the page, so that the page stays alive.
self.onmessage = ({data}) => {
  const say = message => self.postMessage(message);
  try {
    const reader = new FileReaderSync();
    let memory;
    const page = {
      read(at, into, length) {
        try {
          const piece = reader.readAsArrayBuffer(data.packet.slice(at, at + length));
          new Uint8Array(memory.buffer).set(new Uint8Array(piece), into >>> 0);
          return piece.byteLength;
        } catch { return -1; }
      },
      progress(count) { say({progress: count}); },
    };
    const code = new WebAssembly.Module(data.wasm);
    const {exports} = new WebAssembly.Instance(code, {page});
    memory = exports.memory;
    const put = (what, bytes) => {
      const place = exports.room(what, bytes.length) >>> 0;
      if (place === 0) throw new Error('a file beside the packet is too large');
      new Uint8Array(memory.buffer).set(bytes, place);
    };
    ['policy', 'headers', 'proof'].forEach((name, what) => {
      const file = data[name];
      if (!file) return;
      if (file.size > 67108864) throw new Error(file.name + ' is too large');
      put(what, new Uint8Array(reader.readAsArrayBuffer(file)));
    });
    put(3, new TextEncoder().encode(data.packet.name));
    const length = exports.judge(data.packet.size) >>> 0;
    const start = exports.answer() >>> 0;
    const bytes = new Uint8Array(memory.buffer).slice(start, start + length);
    say({answer: new TextDecoder('utf-8', {fatal: true}).decode(bytes)});
  } catch (error) {
    say({error: String(error && error.message || error)});
  }
};
