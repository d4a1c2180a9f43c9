"use strict";
// What a page does by itself: questions, films, and the forward process. It fetches nothing.
const page = document.body.dataset.page;
const storage = {
  key: `ddpm-tutor/${page}`,
  read() {
    try { return JSON.parse(localStorage.getItem(this.key)) || {}; } catch { return {}; }
  },
  write(answers) {
    try { localStorage.setItem(this.key, JSON.stringify(answers)); } catch { /* kept while open */ }
  },
};
const answers = storage.read();
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const made = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

// --- numbers that people type: 0.5  0,5  1/2  √2  2^10  42 %  1e-3 -------------------------------

function calculated(text) {
  const tokens = text.match(/(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|\*\*|[-+*/^()√%]|sqrt|exp|ln|pi|π/g) || [];
  if (tokens.join("") !== text.replace(/\s+/g, "")) return NaN;
  const take = (...signs) => (signs.includes(tokens[0]) ? tokens.shift() : "");
  const sum = () => {
    let value = product();
    for (let sign; (sign = take("+", "-")); ) value += (sign === "+" ? 1 : -1) * product();
    return value;
  };
  const product = () => {
    let value = signed();
    for (let sign; (sign = take("*", "/")); ) {
      const factor = signed();
      value = sign === "*" ? value * factor : value / factor;
    }
    return value;
  };
  const signed = () => {
    if (take("-")) return -signed();
    if (take("+")) return signed();
    const base = atom();
    return take("^", "**") ? base ** signed() : base;
  };
  const atom = () => {
    const token = tokens.shift();
    const of = { "√": Math.sqrt, sqrt: Math.sqrt, exp: Math.exp, ln: Math.log }[token];
    let value = NaN;
    if (of) return of(atom());
    if (token === "(") value = [sum(), take(")")][0];
    else if (token === "pi" || token === "π") value = Math.PI;
    else if (token !== undefined) value = Number(token);
    return take("%") ? value / 100 : value;
  };
  const value = sum();
  return tokens.length ? NaN : value;
}

/** What a typed text can mean: a comma begins decimals, or groups thousands; 42 % may be 42. */
function readings(text) {
  const tidy = text.trim().toLowerCase().replace(/[−–—]/g, "-").replace(/[×·⋅]/g, "*").replace(/^[~≈=]\s*/, "");
  const texts = [tidy.replace(/,/g, "."), tidy.replace(/,(?=\d{3}\b)/g, ""), tidy.replace(/%/g, "")];
  return [...new Set(texts.map(calculated))].filter(Number.isFinite);
}

function rounded(value) {
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-3 && size < 1e5)) {
    return size < 1000 ? String(Number(value.toPrecision(4))) : Math.round(value).toLocaleString("en");
  }
  return value.toExponential(2);
}

// --- questions -----------------------------------------------------------------------------------

/** The reply to an answer: `given` is the option's number, the number typed, or null for none. */
function reveal(question, given) {
  const { kind, answer, tolerance } = question.dataset;
  const replies = question.querySelector("template").content;
  const truth = replies.querySelector("[data-truth]");
  const told = (element, mark, good) => {
    const line = made("p", { className: good ? "good" : "bad" });
    line.append(made("span", { className: "mark", textContent: mark }), ...element.cloneNode(true).childNodes);
    return line;
  };
  const it_is = () => made("p", {}, "It is ", ...truth.cloneNode(true).childNodes);
  const reply = question.querySelector(".reply");
  const right = given !== null && (kind === "choice"
    ? given === Number(answer) : Math.abs(given - Number(answer)) <= Number(tolerance));
  reply.replaceChildren();
  if (given === null) reply.append(it_is());
  else if (kind === "choice") {
    reply.append(told(replies.querySelector(`[data-option="${given}"]`), right ? "✓" : "✗", right));
    if (!right) reply.append(it_is());
  } else {
    const far = Math.abs(given - Number(truth.dataset.rounded));
    const off = rounded(Number.isInteger(far) ? far : Number(far.toPrecision(2)));
    const line = made("p", {}, "It is ", ...truth.cloneNode(true).childNodes);
    if (!right) line.querySelector("span").append(` You were ${off} off.`);
    reply.append(told(line, right ? "✓" : "✗", right));
  }
  if (kind === "choice") {
    all(".options button", question).forEach((button, number) => {
      button.disabled = true;
      button.classList.toggle("right", number === Number(answer));
      button.classList.toggle("chosen", number === given);
    });
    otherReplies(question, replies, given, reply);
  } else {
    const input = question.querySelector("input");
    input.disabled = true;
    input.placeholder = "";  // it would look like an answer
    if (given !== null && !input.value) input.value = rounded(given);
  }
  question.classList.add("answered");
  if (question.nextElementSibling?.classList.contains("after")) {
    question.nextElementSibling.hidden = false;
    all(".film", question.nextElementSibling).forEach((film) => film.draw?.());
  }
  return right;
}

function otherReplies(question, replies, given, reply) {
  const list = made("dl");
  all("[data-option]", replies).forEach((other, number) => {
    if (number === given || number === Number(question.dataset.answer)) return;
    const option = question.querySelectorAll(".options button")[number].lastElementChild;
    list.append(made("div", {}, made("dt", {}, ...option.cloneNode(true).childNodes),
      made("dd", {}, ...other.cloneNode(true).childNodes)));
  });
  if (list.children.length) {
    reply.append(made("details", {}, made("summary", { textContent: "The other replies" }), list));
  }
}

/** Takes an answer; only the first counts, and it is kept. */
function answered(question, given) {
  if (question.classList.contains("answered")) return;
  const right = reveal(question, given);
  question.querySelector(".reply").focus({ preventScroll: true });  // what was pressed is so no more
  answers[question.dataset.key] = { given, right };
  storage.write(answers);
  tellScore();
}

function tellScore() {
  const questions = all(".question");
  const score = document.querySelector(".score");
  if (!questions.length) return;
  const right = questions.filter((question) => answers[question.dataset.key]?.right);
  const points = (some) => some.reduce((sum, question) => sum + Number(question.dataset.points), 0);
  let words = `${right.length} of ${questions.length} right`;
  if (points(questions)) words += ` · ${points(right)} of ${points(questions)} points`;
  score.textContent = words;
}

all(".question").forEach((question) => {
  all(".options button", question).forEach((button) =>
    button.addEventListener("click", () => answered(question, Number(button.value))));
  question.querySelector(".skip").addEventListener("click", () => answered(question, null));
  question.querySelector("form")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const { answer, tolerance } = question.dataset;
    const possible = readings(question.querySelector("input").value);
    const off = (value) => Math.abs(value - Number(answer));
    if (!possible.length) {
      question.querySelector(".reply").replaceChildren(
        made("p", { textContent: "Please type a number, such as 0.5, 1/2 or 1e-3." }));
      return;
    }
    const near = possible.find((value) => off(value) <= Number(tolerance));
    answered(question, near ?? possible.reduce((a, b) => (off(b) < off(a) ? b : a)));
  });
  const kept = answers[question.dataset.key];
  if (kept) kept.right = reveal(question, kept.given);  // the page may be of another run
});
tellScore();

document.querySelector(".show-all")?.addEventListener("click", () =>
  all(".question:not(.answered)").forEach((question) => reveal(question, null)));
document.querySelector(".start-over")?.addEventListener("click", () => {
  storage.write({});
  location.reload();
});

// --- films ---------------------------------------------------------------------------------------

const FRAME_MS = 90;
all(".film").forEach((film) => {
  const captions = JSON.parse(film.dataset.captions);
  const slider = film.querySelector("input"), output = film.querySelector("output");
  const play = film.querySelector(".play");
  const views = all(".view", film).map((view) => {
    const canvas = view.querySelector("canvas");
    return { canvas, image: view.querySelector("img"), seen: JSON.parse(canvas.dataset.seen) };
  });
  const paint = (canvas, image, moment) => canvas.getContext("2d").drawImage(image,
    0, moment * canvas.height, canvas.width, canvas.height, 0, 0, canvas.width, canvas.height);
  film.draw = () => {
    const moment = Number(slider.value);
    output.textContent = captions[moment];
    slider.setAttribute("aria-valuetext", captions[moment]);
    views.forEach(({ canvas, image, seen }) => {
      if (image.complete) paint(canvas, image, moment);
      const name = [canvas.dataset.name, captions[moment]].filter(Boolean).join(", ");
      canvas.setAttribute("aria-label", `${name}: ${seen[moment]}`);
    });
  };
  const strip = () => {  // for paper: six moments
    const last = captions.length - 1, rows = film.querySelector(".strip");
    rows.replaceChildren();
    views.forEach(({ canvas, image }) => [0, 1, 2, 3, 4, 5].forEach((n) => {
      const moment = Math.round((n * last) / 5);
      const small = made("canvas", { width: canvas.width, height: canvas.height, className: "pixels" });
      paint(small, image, moment);
      const name = [canvas.dataset.name, captions[moment]].filter(Boolean).join(", ");
      rows.append(made("figure", {}, small, made("figcaption", { textContent: name })));
    }));
  };
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶";
    play.setAttribute("aria-label", play.getAttribute("aria-label").replace("Pause", "Play"));
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (slider.value === slider.max) slider.value = 0;
    play.textContent = "❚❚";
    play.setAttribute("aria-label", play.getAttribute("aria-label").replace("Play", "Pause"));
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      film.draw();
      if (slider.value === slider.max) stop();
    }, FRAME_MS);
  });
  slider.addEventListener("input", () => { stop(); film.draw(); });
  views.forEach(({ image }) => image.decode().then(film.draw, () => {}));
  film.draw();
  addEventListener("beforeprint", strip);
});

// --- the forward process (Eq. 4) -----------------------------------------------------------------

const live = document.querySelector(".live");
if (live) {
  const data = JSON.parse(live.querySelector("script").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const size = data.side * data.side;
  const pixels = bytes(data.x_0), eps = new Float32Array(bytes(data.eps).buffer);
  const part = (values, number) => Array.from(values.subarray(number * size, (number + 1) * size));
  const x_0 = (digit) => part(pixels, digit).map((value) => value / 127.5 - 1);
  const noise = (number) => part(eps, number);
  const mixed = (digit, number, t) => {  // Eq. 4
    const alpha_bar = data.alpha_bar[t];
    const signal = Math.sqrt(alpha_bar), spread = Math.sqrt(1 - alpha_bar), e = noise(number);
    return x_0(digit).map((value, i) => signal * value + spread * e[i]);
  };
  window.ddpm = { x_t: mixed, alpha_bar: data.alpha_bar };
  const draw = (name, values) => {
    const context = live.querySelector(`[data-of="${name}"]`).getContext("2d");
    const image = context.createImageData(data.side, data.side);
    values.forEach((value, i) => {
      const grey = Math.round((Math.min(1, Math.max(-1, value)) + 1) * 127.5);
      image.data.set([grey, grey, grey, 255], 4 * i);
    });
    context.putImageData(image, 0, 0);
  };
  const chosen = (name) => Number(live.querySelector(`#live-${name}`).value);
  const show = () => {
    const t = chosen("t"), digit = chosen("digit"), number = chosen("noise");
    const alpha_bar = data.alpha_bar[t];
    draw("x_0", x_0(digit));
    draw("eps", noise(number));
    draw("x_t", mixed(digit, number, t));
    const values = {
      alpha_bar: alpha_bar < 0.001 ? alpha_bar.toExponential(2) : alpha_bar.toFixed(4),
      signal: Math.sqrt(alpha_bar).toFixed(3), noise: Math.sqrt(1 - alpha_bar).toFixed(3),
      snr: !t ? "∞" : alpha_bar < 0.001 ? (alpha_bar / (1 - alpha_bar)).toExponential(2)
        : Number((alpha_bar / (1 - alpha_bar)).toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 }),
    };
    all("[data-say]", live).forEach((place) => { place.textContent = values[place.dataset.say]; });
    live.querySelector("output").textContent = `t = ${t}`;
    live.querySelector("#live-t").setAttribute("aria-valuetext", `t = ${t}`);
    const label = (name, words) => live.querySelector(`[data-of="${name}"]`).setAttribute("aria-label", words);
    label("x_0", `x_0, a ${digit}`);
    label("eps", "ε, noise");
    label("x_t", `x_t at t = ${t}: ${values.signal} of the digit ${digit} and ${values.noise} of the noise`);
  };
  live.addEventListener("input", show);
  show();
}

// --- around the text -----------------------------------------------------------------------------

const WIDE = ".scrolled, pre, .wide";

/** What goes on to the right fades there, until it is scrolled to its end. */
function fade(block) {
  block.classList.toggle("more", block.scrollLeft + block.clientWidth < block.scrollWidth - 1);
}
document.addEventListener("scroll", ({ target }) => {
  if (target.matches?.(WIDE)) fade(target);
}, true);

/** What is wider than its place is scrolled by the arrow keys: so the keyboard has to get there. */
function reachable() {
  all(WIDE).forEach((block) => {
    const wider = block.scrollWidth > block.clientWidth;
    fade(block);
    if (wider) block.tabIndex = 0;
    else block.removeAttribute("tabindex");
    const named = wider && block.dataset.label;
    for (const [name, value] of [["role", "region"], ["aria-label", block.dataset.label]]) {
      if (named) block.setAttribute(name, value);
      else block.removeAttribute(name);
    }
  });
}
reachable();
addEventListener("resize", reachable);
document.addEventListener("toggle", reachable, true);
document.addEventListener("click", () => setTimeout(reachable));

if (matchMedia("(max-width: 66rem)").matches) {
  all(".contents details").forEach((contents) => { contents.open = false; });
}
all("[data-score-of]").forEach((place) => {  // on the contents' page: what was right so far
  try {
    const kept = JSON.parse(localStorage.getItem(`ddpm-tutor/${place.dataset.scoreOf}`)) || {};
    const right = Object.values(kept).filter((answer) => answer.right).length;
    if (Object.keys(kept).length) place.textContent = `${right} right so far`;
  } catch { /* nothing is kept here */ }
});

// --- paper ---------------------------------------------------------------------------------------

addEventListener("beforeprint", () =>
  all("details.code:not(.source), .reply details").forEach((folded) => { folded.open = true; }));
