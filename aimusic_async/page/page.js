// Plays the tracks: one song keeps the time, its stems follow it, its words light up with it.
(() => {
  "use strict";
  const STEP = 5; // seconds that an arrow key goes
  const FAR = 0.25; // seconds off the song at which a stem jumps
  const NEAR = 0.05; // the same right after a jump; else it runs a little faster or slower until it is there
  const data = JSON.parse(document.getElementById("data").textContent);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const player = document.querySelector(".player");
  const toggle = player.querySelector(".toggle");
  const seekBar = player.querySelector(".seek input");
  const tracks = [];
  let current = null;

  const clock = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    const rest = String(whole % 60).padStart(2, "0");
    const minutes = Math.floor(whole / 60) % 60;
    const hours = Math.floor(whole / 3600);
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  };

  class Stem {
    constructor(element, changed) {
      this.element = element;
      this.audio = element.querySelector("audio");
      this.audio.preservesPitch = false; // a rate of 1.03 for a moment is not heard, stretching is
      this.buttons = { mute: element.querySelector(".mute"), solo: element.querySelector(".solo") };
      this.broken = false;
      this.tries = 0;
      this.lead = 0;
      for (const [name, other] of [["mute", "solo"], ["solo", "mute"]]) {
        this.buttons[name].addEventListener("click", () => {
          this.set(name, !this.is(name));
          this.set(other, false);
          changed();
        });
      }
      this.audio.addEventListener("error", () => {
        this.broken = true;
        for (const button of Object.values(this.buttons)) button.disabled = true;
        this.element.title = "This file cannot be played.";
      });
    }

    is(name) { return this.buttons[name].getAttribute("aria-pressed") === "true"; }
    set(name, pressed) { this.buttons[name].setAttribute("aria-pressed", String(pressed)); }

    hear(heard) {
      this.audio.muted = !heard;
      this.element.classList.toggle("silent", !heard);
    }

    follow(song, jump) {
      const behind = song.currentTime - this.audio.currentTime;
      const off = Math.abs(behind);
      if (jump) this.tries = 2;
      if (!jump && this.audio.seeking) return;
      if (jump || off > FAR || (off > NEAR && this.tries > 0)) {
        if (!jump) { // a jump takes a moment itself: the next one aims so much ahead
          this.tries -= 1;
          this.lead = Math.max(0, Math.min(FAR, this.lead + behind));
        }
        this.audio.playbackRate = 1;
        this.audio.currentTime = song.currentTime + (song.paused ? 0 : this.lead);
      } else {
        this.audio.playbackRate = off < 0.008 ? 1 : 1 + Math.max(-0.03, Math.min(0.03, behind));
      }
      if (song.paused || song.ended) this.audio.pause();
      else if (this.audio.paused && !this.audio.ended && !this.broken) this.audio.play().catch(() => {});
    }
  }

  class Track {
    constructor(element, song, data) {
      this.element = element;
      this.song = song;
      this.data = data;
      this.button = element.querySelector(".play");
      this.panel = element.querySelector(".words.timed");
      this.spans = [...element.querySelectorAll(".word")];
      this.spoken = -1; // the word that is lit
      this.handsOn = 0; // until when the reader scrolls the lyrics and we do not
      this.stems = [...element.querySelectorAll(".stem")].map((stem) => new Stem(stem, () => this.mix()));
      this.mixed = false; // whether the stems are heard instead of the song
      this.button.addEventListener("click", () => this.playOrPause());
      for (const name of ["play", "pause", "ended", "durationchange", "seeked"]) song.addEventListener(name, () => this.moved());
      song.addEventListener("timeupdate", () => this.follow(false));
      song.addEventListener("seeking", () => this.follow(true));
      song.addEventListener("ended", () => step(1, true));
      song.addEventListener("error", () => this.complain("This file cannot be played."));
      if (this.panel) this.listenToPanel();
      this.mix();
    }

    get length() {
      return Number.isFinite(this.song.duration) ? this.song.duration : this.data.seconds ?? 0;
    }

    complain(text) {
      const line = this.element.querySelector(".trouble");
      line.textContent = text;
      line.hidden = false;
    }

    playOrPause() {
      if (this.song.paused) this.play();
      else this.song.pause();
    }

    play() {
      select(this);
      this.song.play().catch((error) => {
        if (error.name === "NotAllowedError") this.complain("The browser wants a click before it plays.");
      });
    }

    seek(at) {
      this.song.currentTime = Math.max(0, this.length ? Math.min(at, this.length) : at);
      this.moved();
    }

    moved() {
      this.follow(false);
      const on = !this.song.paused && !this.song.ended;
      this.button.classList.toggle("on", on);
      this.button.setAttribute("aria-label", on ? "Pause" : "Play");
      if (current === this) paint();
      if (on) requestAnimationFrame(tick);
    }

    // --- stems: silent and at rest as long as all of them are heard, as then the song itself is

    mix() {
      const solo = this.stems.some((stem) => stem.is("solo"));
      const heard = this.stems.map((stem) => (solo ? stem.is("solo") : !stem.is("mute")));
      this.stems.forEach((stem, number) => stem.hear(heard[number]));
      const mixed = this.data.partsOnly || heard.includes(false);
      this.song.muted = mixed;
      if (mixed === this.mixed) return;
      this.mixed = mixed;
      if (mixed) this.follow(true);
      else for (const stem of this.stems) stem.audio.pause();
    }

    follow(jump) {
      if (this.mixed) for (const stem of this.stems) stem.follow(this.song, jump);
    }

    // --- lyrics

    listenToPanel() {
      const { panel } = this;
      const hold = () => { this.handsOn = performance.now() + 4000; };
      panel.addEventListener("wheel", hold, { passive: true });
      panel.addEventListener("touchmove", hold, { passive: true });
      panel.addEventListener("click", (event) => {
        const number = this.spans.indexOf(event.target.closest(".word"));
        if (number >= 0) this.goTo(number);
      });
      panel.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
        const down = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (!down) return;
        event.preventDefault();
        const lines = [...new Set(this.spans.map((span) => span.parentElement))];
        const at = this.spoken < 0 ? -1 : lines.indexOf(this.spans[this.spoken].parentElement);
        const line = lines[Math.max(0, Math.min(lines.length - 1, at + down))];
        this.goTo(this.spans.findIndex((span) => span.parentElement === line));
      });
    }

    goTo(number) {
      this.handsOn = 0;
      this.seek(this.data.words[number][0] + 0.001);
      this.light();
      this.play();
    }

    light() {
      const at = this.song.currentTime;
      let now = -1;
      this.data.words.forEach(([start], number) => {
        if (start <= at && (now < 0 || start >= this.data.words[now][0])) now = number;
      });
      const sounding = now >= 0 && at < this.data.words[now][1] + 0.15;
      this.spans[now]?.classList.toggle("now", sounding);
      if (now === this.spoken) return;
      this.spans[this.spoken]?.classList.remove("now");
      this.spans[this.spoken]?.parentElement.classList.remove("now");
      this.spans.forEach((span, number) => span.classList.toggle("sung", number < now));
      this.spans[now]?.parentElement.classList.add("now");
      this.spoken = now;
      if (now >= 0 && performance.now() > this.handsOn) this.scrollTo(this.spans[now].parentElement);
    }

    scrollTo(line) { // only inside of the panel: the page itself stays where the reader is
      const top = line.offsetTop - (this.panel.clientHeight - line.offsetHeight) / 2;
      this.panel.scrollTo({ top, behavior: calm.matches ? "auto" : "smooth" });
    }
  }

  // --- the player bar

  function select(track) {
    if (current === track) return;
    current?.song.pause();
    current?.element.classList.remove("current");
    current = track;
    track.element.classList.add("current");
    const link = player.querySelector(".playing");
    link.href = `#${track.element.id}`;
    link.firstElementChild.textContent = track.data.title;
    if ("mediaSession" in navigator) navigator.mediaSession.metadata = new MediaMetadata({ title: track.data.title });
    paint();
  }

  function paint() {
    const { song, length } = current;
    const on = !song.paused && !song.ended;
    toggle.classList.toggle("on", on);
    toggle.setAttribute("aria-label", on ? "Pause" : "Play");
    const shown = `${clock(song.currentTime)} / ${clock(length)}`;
    seekBar.max = length;
    seekBar.value = song.currentTime;
    if (player.querySelector(".at").textContent !== shown) {
      player.querySelector(".at").textContent = shown;
      seekBar.setAttribute("aria-valuetext", `${clock(song.currentTime)} of ${clock(length)}`);
    }
    if (current.panel) current.light();
  }

  let ticking = false;
  function tick() {
    if (ticking) return;
    ticking = true;
    const frame = () => {
      paint();
      ticking = !current.song.paused;
      if (ticking) requestAnimationFrame(frame);
    };
    frame();
  }

  function step(by, onward = false) {
    const next = tracks[tracks.indexOf(current) + by];
    if (!next) return;
    next.seek(0);
    if (onward || !current.song.paused) next.play();
    else select(next);
  }

  function onKey(event) {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    const { key, target } = event;
    if (key === " " && !event.repeat && !target.closest("button, summary, a")) current.playOrPause();
    else if ((key === "ArrowLeft" || key === "ArrowRight") && !target.closest(".chart, .table")) {
      const by = key === "ArrowRight" ? 1 : -1;
      if (event.shiftKey) step(by);
      else current.seek(current.song.currentTime + by * STEP);
    } else return;
    event.preventDefault();
  }

  document.documentElement.classList.add("js");
  data.tracks.forEach((one, number) => {
    const element = document.getElementById(`track-${number + 1}`);
    const song = element.querySelector(".song");
    if (song) tracks.push(new Track(element, song, one));
  });
  if (!tracks.length) return;
  player.hidden = false;
  toggle.addEventListener("click", () => current.playOrPause());
  player.querySelector(".before").addEventListener("click", () => step(-1));
  player.querySelector(".after").addEventListener("click", () => step(1));
  seekBar.addEventListener("input", () => current.seek(seekBar.valueAsNumber));
  document.addEventListener("keydown", onKey);
  if ("mediaSession" in navigator) {
    navigator.mediaSession.setActionHandler("previoustrack", () => step(-1));
    navigator.mediaSession.setActionHandler("nexttrack", () => step(1));
  }
  select(tracks[0]);
})();
