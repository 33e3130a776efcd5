/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.js - what is at /-/: asks for status every two seconds and for history
 * every ten while it is looked at, and says when no answer comes.
 *
 * Names of files and directories are anybody's: they become text nodes, and
 * nothing here makes HTML of a string (the policy forbids it, too).
 */
"use strict";
(() => {
	const EVERY_MS = 2000;
	const HISTORY_MS = 10000;
	const PATIENCE_MS = 5000; /* with one request */
	const OLD_MS = 5000;	  /* no answer for so long is said */

	const $ = (id) => document.getElementById(id);
	const NBSP = "\u00a0"; /* a number and its unit stay on one line */
	const TIERS = ["ssd", "peer", "store"];

	/* ---- numbers as people read them ------------------------------- */

	const count = (n) => Math.round(n).toLocaleString("en-US");

	function bytes(n) {
		const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
		let i = 0;

		while (n >= 1024 && i < units.length - 1) {
			n /= 1024;
			i++;
		}
		return (i === 0 || n >= 99.95 ? Math.round(n).toString() :
						n.toFixed(1)) +
		       NBSP + units[i];
	}

	function usd(n) {
		if (n > 0 && n < 0.0001)
			return "<" + NBSP + "$0.0001";
		return "$" + n.toFixed(n > 0 && n < 0.1 ? 4 : 2);
	}

	const FORMATS = { count, bytes, usd };

	const some = (n, one) => count(n) + " " + one + (n === 1 ? "" : "s");

	function perSecond(n) {
		return n >= 10 || n === 0 ? count(n) : n.toFixed(1);
	}

	function percent(part, all) {
		if (!(all > 0))
			return "–";
		const p = 100 * part / all;

		/* All and none are said of all and none only. */
		if (p > 99.9 && part < all)
			return ">" + NBSP + "99.9" + NBSP + "%";
		if (p < 0.1 && part > 0)
			return "<" + NBSP + "0.1" + NBSP + "%";
		return (p === 0 || p === 100 ? p.toFixed(0) : p.toFixed(1)) +
		       NBSP + "%";
	}

	function duration(s) {
		const d = Math.floor(s / 86400);
		const h = Math.floor(s / 3600) % 24;
		const m = Math.floor(s / 60) % 60;

		if (d > 0)
			return d + " d" + (h > 0 ? " " + h + " h" : "");
		if (h > 0)
			return h + " h" + (m > 0 ? " " + m + " min" : "");
		return m > 0 ? m + " min" : Math.floor(s) + " s";
	}

	/* ---- making elements ------------------------------------------- */

	function put(node, text) {
		if (node.textContent !== text)
			node.textContent = text;
	}

	function make(tag, className, ...children) {
		const e = document.createElement(tag);

		if (className)
			e.className = className;
		e.append(...children);
		return e;
	}

	function cell(tag, text, scope) {
		const e = make(tag, "", text);

		if (scope)
			e.scope = scope;
		return e;
	}

	/*
	 * Rows of a name and numbers. The name, which may be long, has a line
	 * of its own; a very long one is cut short, and told when pointed at.
	 */
	function table(head, rows) {
		const t = make("table", "stacked");
		const top = make("tr");

		for (const h of head)
			top.append(cell("th", h, "col"));
		t.append(make("thead", "", top));
		for (const [name, ...numbers] of rows) {
			const th = cell("th", "", "rowgroup");

			th.append(make("span", "name", name));
			th.title = name;
			th.colSpan = head.length;
			t.append(make("tbody", "", make("tr", "", th),
				      make("tr", "", ...numbers.map(
					      (n) => cell("td", n)))));
		}
		return t;
	}

	/* A bar with its share in words for those who do not see it. */
	function bar(label, part, all, bad) {
		const inner = make("div");
		const outer = make("div", bad ? "bar is-bad" : "bar", inner);
		const p = all > 0 ? Math.min(100, 100 * part / all) : 0;

		inner.style.width = p + "%";
		outer.setAttribute("role", "progressbar");
		outer.setAttribute("aria-label", label);
		outer.setAttribute("aria-valuemin", "0");
		outer.setAttribute("aria-valuemax", "100");
		outer.setAttribute("aria-valuenow", p.toFixed(0));
		return outer;
	}

	/* Make a part anew when its data is new: a selection in it stays. */
	const shown = new Map();

	function part(id, data, build) {
		const text = JSON.stringify(data);

		if (shown.get(id) === text)
			return;
		shown.set(id, text);
		$(id).replaceChildren(...build(data));
	}

	const words = (text) => [make("p", "quiet", text)];

	/* ---- the parts of a status ------------------------------------- */

	function at(o, path) {
		for (const name of path.split("."))
			o = o === undefined || o === null ? undefined : o[name];
		return o;
	}

	function figures(m) {
		for (const e of document.querySelectorAll("[data-path]")) {
			const n = at(m, e.dataset.path);

			if (typeof n !== "number") {
				put(e, "–");
				continue;
			}
			e.dataset.n = n;
			if (e.dataset.as === "bytes")
				e.title = count(n) + " bytes";
			put(e, FORMATS[e.dataset.as](n));
			if (e.dataset.bad !== undefined)
				e.classList.toggle("is-bad", n > 0);
		}
	}

	function tiers(m, before) {
		const r = m.reads;
		const sum = r.ssd_bytes + r.peer_bytes + r.store_bytes;
		let rate = 0, seconds = 0;

		if (before !== undefined)
			seconds = (m.at - before.at) / 1000;
		for (const t of TIERS) {
			const n = r[t + "_bytes"];
			const now = seconds > 0 ?
				Math.max(0, n - before.reads[t + "_bytes"]) /
				seconds : 0;

			rate += now;
			/* One look tells no rate. */
			put($("now-" + t), seconds > 0 ? bytes(now) + "/s" :
							 "–");
			put($("share-" + t), percent(n, sum));
		}
		put($("rate"), seconds > 0 ? bytes(rate) + "/s" : "–");
		put($("hit"), percent(r.ssd_bytes + r.peer_bytes, sum));
		put($("saved-requests"), some(
			m.saved.get + m.saved.head + m.saved.list, "request"));
		put($("retries"), some(m.store.retries, "request"));
	}

	function errors(m) {
		const n = m.store.errors + m.counters.peer_errors +
			  m.counters.ssd_errors + m.counters.bad_pages;

		$("errors").dataset.n = n;
		put($("errors"), count(n));
		$("errors").classList.toggle("is-bad", n > 0);
	}

	function disks(list) {
		if (list.length === 0)
			return words("Nothing is kept on an SSD here.");
		return list.map((d) => {
			const bad = d.state !== "ok";
			const item = make("div", "item");

			item.append(
				make("p", "", d.dir),
				bar("Filled: " + d.dir, d.bytes, d.limit, bad),
				make("p", "quiet", bytes(d.bytes) + " of " +
				     bytes(d.limit) + ", " +
				     some(d.files, "file") + (d.bad_pages > 0 ? ", " +
				     some(d.bad_pages, "bad page") : "") +
				     ", " + bytes(d.evicted_bytes) +
				     " evicted"));
			if (bad)
				item.append(make("p", "is-bad",
						 "This disk is " + d.state));
			return item;
		});
	}

	function ring(r) {
		const list = r && r.workers ? r.workers : [];

		const failing = r && r.failing ? [make("p", "is-bad",
			"The list of workers is not told: " + r.failing)] : [];

		if (list.length === 0)
			return [...words("No ring: no workers are asked " +
					 "from here."), ...failing];
		const all = list.reduce((sum, w) => sum + (w.weight || 0), 0);
		const t = table(
			["State", "Share", "Hits", "Errors"],
			list.map((w) => [w.name, w.state,
					 percent(w.weight || 0, all),
					 bytes(w.hit_bytes || 0),
					 count(w.errors || 0)]));

		list.forEach((w, i) => {
			if (w.state !== "up")
				t.tBodies[i].rows[1].cells[0].className =
					"is-bad";
		});
		return [t, make("p", "quiet", some(list.length, "worker") +
				", change " + count(r.epoch) +
				" of the membership"), ...failing];
	}

	function hot(list) {
		if (list === null)
			return words("Names of files are not told here: this " +
				     "worker has a cluster's key, and whoever " +
				     "reaches its port may read this page " +
				     "without it.");
		if (list.length === 0)
			return words("No file was read lately.");
		return [table(["Lately", "Read", "Opens"],
			      list.map((f) => [
				      (f.bucket ? f.bucket + "/" : "") +
				      (f.key !== undefined ? f.key : f.path),
				      bytes(f.per_s || 0) + "/s",
				      bytes(f.bytes), count(f.opens)]))];
	}

	function jobs(list) {
		if (list.length === 0)
			return words("None was started; tarn load starts one.");
		return list.slice(0, 10).map((j) => {
			const name = (j.kind === "free" ? "Free" : "Load") +
				     " " + j.id;
			const failed = j.failed > 0;
			const item = make("div", "item");

			item.append(
				make("p", "", name + ": " + j.state +
				     (j.dry_run ? ", counts only" : "")),
				bar(name, j.files_done,
				    j.files, failed),
				make("p", "quiet", count(j.files_done) +
				     " of " + some(j.files, "file") + ", " +
				     bytes(j.bytes_done) + " of " +
				     bytes(j.bytes) + (j.walked === false ?
				     "; still counting" : "")));
			if (failed)
				item.append(make("p", "is-bad",
						 count(j.failed) + " failed"));
			return item;
		});
	}

	function about(j, m) {
		const worker = j.worker !== undefined;
		const names = m.sources ? m.sources.map((s) => s.source) :
					  [m.source];

		put($("title"), names.join(", "));
		put($("where"), worker ? "worker on " + m.listen :
					 "mounted on " + m.dir);
		document.title = (worker ? m.listen : m.dir) + " – tarn";
		put($("uptime"), duration(m.uptime_s));
		put($("pid"), String(m.pid));
		put($("memory"), bytes(m.memory.used) + " of " +
				 bytes(m.memory.limit));
		put($("consistency"), m.consistency);
		put($("version"), j.version);
		$("kernel").hidden = !m.passthrough;
	}

	/* ---- charts ---------------------------------------------------- */

	const SVG = "http://www.w3.org/2000/svg";

	function shape(parent, tag, attributes, text) {
		const e = document.createElementNS(SVG, tag);

		for (const [name, value] of Object.entries(attributes))
			e.setAttribute(name, value);
		if (text !== undefined)
			e.textContent = text;
		parent.append(e);
	}

	/* The next round number: of bytes a power of two, else 1, 2, 5, 10. */
	function round(n, base) {
		let unit = 1;

		while (true) {
			for (const k of base === 1024 ? [1] : [1, 2, 5])
				if (n <= k * unit)
					return k * unit;
			unit *= base === 1024 ? 2 : 10;
		}
	}

	/*
	 * Counters at moments become rates of the times between them, which
	 * end so many seconds ago. The last moment is now, which may be too
	 * soon after the one before to tell a rate, unless it is all there is.
	 */
	function rates(h, names) {
		const out = [];
		let last = 0;

		for (let i = 1; i < h.age_ms.length; i++) {
			const s = (h.age_ms[last] - h.age_ms[i]) / 1000;

			if (s <= 0 || (s < 1 && h.age_ms.length > 2))
				continue;
			out.push({
				from: h.age_ms[last] / 1000,
				to: h.age_ms[i] / 1000,
				n: names.map((name) => Math.max(
					0, h[name][i] - h[name][last]) / s),
			});
			last = i;
		}
		return out;
	}

	function chart(id, list, classes, base, format) {
		const svg = $(id);
		const width = Math.max(200, svg.clientWidth);
		const height = svg.clientHeight;
		const left = 4, top = 18, bottom = height - 20;
		const span = [60, 120, 300, 600, 1800, 3600].find(
			(s) => list.length === 0 || list[0].from <= s + 20) ||
			3600;
		const most = list.reduce((m, r) => Math.max(
			m, r.n.reduce((a, b) => a + b, 0)), 0);
		const scale = round(Math.max(most, base === 1024 ? 1024 : 1),
				    base);
		const x = (ago) => left + (width - 2 * left) *
			(1 - Math.min(ago, span) / span);
		const y = (n) => bottom - (bottom - top) * n / scale;

		svg.setAttribute("viewBox", "0 0 " + width + " " + height);
		svg.replaceChildren();
		for (const n of [0, scale / 2, scale])
			shape(svg, "line", { class: "grid", x1: left,
					     x2: width - left, y1: y(n),
					     y2: y(n) });
		classes.forEach((name, k) => {
			let up = "", down = "";

			for (const r of list) {
				const low = r.n.slice(0, k)
					.reduce((a, b) => a + b, 0);

				if (r.to > span)
					continue;
				up += " L" + x(r.from).toFixed(1) + " " +
				      y(low + r.n[k]).toFixed(1) + " L" +
				      x(r.to).toFixed(1) + " " +
				      y(low + r.n[k]).toFixed(1);
				down = " L" + x(r.to).toFixed(1) + " " +
				       y(low).toFixed(1) + " L" +
				       x(r.from).toFixed(1) + " " +
				       y(low).toFixed(1) + down;
			}
			if (up !== "")
				shape(svg, "path", { class: name, d:
					"M" + (up + down + " Z").slice(2) });
		});
		shape(svg, "text", { x: left, y: 12 }, format(scale) + "/s");
		shape(svg, "text", { x: left, y: height - 4 },
		      duration(span) + " ago");
		shape(svg, "text", { x: width - left, y: height - 4,
				     "text-anchor": "end" }, "now");
		return span;
	}

	let history;

	function over(name, span) {
		const first = history.age_ms.findIndex(
			(ms) => ms <= span * 1000);
		const all = history[name];

		return Math.max(0, all[all.length - 1] -
				   all[Math.max(0, first - 1)]);
	}

	function charts() {
		if (history === undefined)
			return;
		let span = chart("chart-bytes",
				 rates(history, ["ssd_bytes", "peer_bytes",
						 "store_bytes"]),
				 TIERS, 1024, bytes);

		put($("words-bytes"), "In the last " + duration(span) + ": " +
			bytes(over("ssd_bytes", span)) + " from the SSD, " +
			bytes(over("peer_bytes", span)) + " from peers, " +
			bytes(over("store_bytes", span)) + " from the store");
		span = chart("chart-requests",
			     rates(history, ["errors", "requests"]),
			     ["errors", "store"], 10, perSecond);
		put($("words-requests"), "In the last " + duration(span) +
			": " + some(over("requests", span), "request") + ", " +
			some(over("errors", span), "error"));
	}

	/* ---- asking ---------------------------------------------------- */

	let looks = [];	   /* statuses of the last ten seconds */
	let answered = -1; /* performance.now() of the last answer */
	let asked = 0;	   /* of the last question about history */
	let why = "";
	let old = false;
	let timer = 0;

	async function ask(what) {
		const r = await fetch(what, {
			cache: "no-store",
			signal: AbortSignal.timeout(PATIENCE_MS),
		});

		if (!r.ok)
			throw new Error("it answered " + r.status);
		return r.json();
	}

	function show(j) {
		const m = j.worker !== undefined ? j.worker : j.mounts[0];

		m.at = performance.now();
		/* Another process: what was before is not its. */
		looks = looks.filter((l) => l.pid === m.pid &&
					    m.at - l.at < 11000);
		about(j, m);
		figures(m);
		tiers(m, looks[0]);
		errors(m);
		part("ssd", m.ssd || [], disks);
		part("ring", m.ring || null, ring);
		part("hot", m.hot === undefined ? null : m.hot, hot);
		part("jobs", m.jobs || [], jobs);
		looks.push(m);
	}

	function age() {
		const ms = performance.now() - answered;
		const was = old;
		const pill = $("age");

		old = answered < 0 ? why !== "" : ms > OLD_MS;
		pill.className = old ? "pill bad" :
				 answered < 0 ? "pill" : "pill good";
		if (!old)
			put(pill, answered < 0 ? "asking" : "live");
		else if (answered < 0)
			put(pill, "no answer yet");
		else
			put(pill, "no answer since " + duration(ms / 1000));
		pill.title = old ? why : "";
		$("main").classList.toggle("old", old);
		if (old && !was)
			put($("live"), "No answer comes any more; " +
				       "what is shown is old.");
		else if (was && !old)
			put($("live"), "Answers come again.");
	}

	async function poll() {
		clearTimeout(timer);
		try {
			const j = await ask("status");

			show(j);
			answered = performance.now();
			why = "";
			if (history === undefined ||
			    answered - asked >= HISTORY_MS) {
				asked = answered;
				history = await ask("history");
				charts();
			}
		} catch (e) {
			why = String(e.message || e);
		}
		age();
		clearTimeout(timer);
		if (!document.hidden)
			timer = setTimeout(poll, EVERY_MS);
	}

	document.addEventListener("visibilitychange", () => {
		if (!document.hidden)
			poll();
	});
	new ResizeObserver(charts).observe($("chart-bytes"));
	setInterval(age, 1000);
	poll();
})();
