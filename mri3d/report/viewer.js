// The viewer of scans: controls around NiiVue, which draws. All that it needs is in the page.
"use strict";
(() => {
  const VIEWS = { axial: 0, coronal: 1, sagittal: 2, all: 3, render: 4 }; // as NiiVue counts them
  const CUTS = { left: [270, 0], right: [90, 0], front: [180, 0], back: [0, 0], top: [0, 90] }; // azimuth, elevation
  const MOVES = { // voxels to the right, to the front and up
    ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowDown: [0, -1, 0], ArrowUp: [0, 1, 0],
    PageDown: [0, 0, -1], PageUp: [0, 0, 1],
  };
  const ENDS = [["right", "left"], ["anterior", "posterior"], ["superior", "inferior"]];
  const TURN = 5; // degrees for each press of a key
  const WIDE = 700; // pixels, from where on the rendering is larger than the slices
  const HEADER = 352; // bytes of a NIfTI file before its voxels
  const LEVELS = 127; // of a heatmap on each side of 0
  const OPTIONS = {
    logLevel: "error", loadingText: "", dragAndDropEnabled: false, dragMode: 0, longTouchTimeout: 1e9,
    crosshairColor: [0.21, 0.88, 0.75, 0.6], crosshairWidth: 0.4, crosshairWidthUnit: "percent", crosshairGap: 6,
    fontColor: [0.82, 0.82, 0.82, 1], clipPlaneColor: [0, 0, 0, 0], backColor: [0, 0, 0, 1],
    showAllOrientationMarkers: true, multiplanarPadPixels: 6, heroSliceType: VIEWS.render,
  };
  // The faint opacity of black keeps a heatmap visible where there is no head, and is too little to be rendered.
  const GREY = { R: [0, 255], G: [0, 255], B: [0, 255], A: [1, 128], I: [0, 255] };

  /** Decode and decompress what is gzipped and in base64. */
  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  }

  /** Start NiiVue: the page's policy knows its digest. */
  async function start() {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(await unpacked(document.getElementById("niivue").textContent));
    document.head.append(script);
    if (!window.niivue) throw new Error("its code was not allowed to run.");
    return window.niivue;
  }

  /** Draw a ball of grey: its shades are those of a surface that faces the same way. NiiVue's own ball has colours. */
  function shades() {
    const context = Object.assign(document.createElement("canvas"), { width: 64, height: 64 }).getContext("2d");
    const light = context.createRadialGradient(26, 22, 2, 32, 32, 33);
    for (const [at, grey] of [[0, 225], [0.5, 160], [1, 50]]) light.addColorStop(at, `rgb(${grey} ${grey} ${grey})`);
    context.fillStyle = light;
    context.fillRect(0, 0, 64, 64);
    return context.canvas.toDataURL();
  }

  /** Read a NIfTI file for NiiVue. */
  const read = (file) => window.niivue.NVImage.new(file, "scan.nii", "head", 1);

  let started = null; // NiiVue, for all viewers of the page

  class Viewer {
    constructor(root, number) {
      this.root = root;
      this.data = JSON.parse(root.querySelector("script").textContent);
      this.canvas = root.querySelector("canvas");
      this.controls = {};
      for (const control of root.querySelectorAll("[data-control]")) this.controls[control.dataset.control] = control;
      this.names = [...this.controls.scan.options].map((option) => option.textContent);
      this.shown = null; // the scan that is drawn
      this.evidence = null; // of that scan: levels, their NIfTI image, and the image of their colours
      this.asked = new Set();
      this.find("how").id = `viewer-how-${number}`;
      this.canvas.setAttribute("aria-describedby", this.find("how").id);
    }

    find = (name) => this.root.querySelector(`.viewer-${name}`);
    number = (control) => Number(this.controls[control].value);

    /** Show the controls, and begin to draw when somebody comes near. */
    wait() {
      this.find("note").textContent = "The scans are being unpacked.";
      this.find("panel").hidden = false;
      const observer = new IntersectionObserver((entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        observer.disconnect();
        this.refresh();
      }, { rootMargin: "300px" });
      observer.observe(this.root);
    }

    /** Show the scan that is chosen; begin where that was not done. */
    async refresh() {
      try {
        await (this.attached ??= this.attach());
        await this.show();
      } catch (error) {
        this.fail(error);
      }
    }

    fail(error) {
      this.find("panel").hidden = true;
      this.find("note").hidden = false;
      this.find("note").textContent = `The scans are not shown, since the viewer failed: ${error.message}`;
    }

    async attach() {
      const { Niivue } = await (started ??= start());
      this.niivue = new Niivue({ ...OPTIONS, multiplanarShowRender: this.data.renders ? 1 : 0 });
      this.niivue.addColormap("head", GREY);
      this.niivue.backgroundMasksOverlays = 1; // what is cut away of the head takes its heatmap with it
      this.niivue.loadDefaultMatCap = () => this.niivue.loadMatCapTexture(shades());
      this.niivue.onLocationChange = (place) => this.tell(place.mm);
      this.niivue.onAzimuthElevationChange = (azimuth) => this.write("turn", ((azimuth % 360) + 360) % 360);
      this.guard();
      await this.niivue.attachToCanvas(this.canvas, true);
      if (this.data.renders) {
        await this.niivue.setVolumeRenderIllumination(0.6);
        new ResizeObserver(() => this.lay()).observe(this.canvas);
      }
      this.listen();
    }

    /** Keep from NiiVue what belongs to the page: keys, further buttons, and touches and the wheel before a click. */
    guard() {
      const stage = this.find("stage");
      const stop = (event) => event.stopPropagation();
      stage.addEventListener("keydown", (event) => this.press(event), true);
      for (const kind of ["keydown", "keyup", "contextmenu"]) stage.addEventListener(kind, stop, true);
      stage.addEventListener("mousedown", (event) => event.button && stop(event), true);
      for (const kind of ["wheel", "touchstart", "touchmove", "touchend"]) {
        stage.addEventListener(kind, (event) => document.activeElement === this.canvas || stop(event), true);
      }
      this.canvas.addEventListener("webglcontextlost", () => this.fail(new Error("the graphics stopped.")));
    }

    listen() {
      const { scan, view, peak, opacity, threshold, side, cut, turn } = this.controls;
      scan.addEventListener("change", () => this.refresh());
      view.addEventListener("change", () => this.niivue.setSliceType(VIEWS[view.value]));
      peak.addEventListener("click", () => this.goToPeak());
      for (const slider of [opacity, threshold, cut, turn].filter(Boolean)) {
        const write = () => this.write(slider.dataset.control, slider.value);
        slider.addEventListener("input", write);
        write(); // some browsers keep what was chosen before a page is read again
      }
      this.niivue.setSliceType(VIEWS[view.value]);
      const moved = [[opacity, "paint"], [threshold, "paint"], [side, "cut"], [cut, "cut"], [turn, "turn"]];
      for (const [control, method] of moved) control?.addEventListener("input", () => this.soon(method));
    }

    /** Call a method before the next frame, once however often it is asked for. */
    soon(method) {
      if (!this.asked.size) {
        requestAnimationFrame(() => {
          const methods = [...this.asked];
          this.asked.clear();
          for (const each of methods) this[each]();
        });
      }
      this.asked.add(method);
    }

    /** Set a slider, and write its value beside it. */
    write(control, value) {
      const slider = this.controls[control];
      if (!slider) return;
      slider.value = value;
      slider.closest("label").querySelector("b").textContent = slider.value + slider.dataset.unit;
    }

    press(event) {
      const move = MOVES[event.key];
      if (!this.shown || !move || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      if (this.data.renders && (event.shiftKey || this.controls.view.value === "render")) {
        const { renderAzimuth, renderElevation } = this.niivue.scene;
        this.niivue.setRenderAzimuthElevation(renderAzimuth + TURN * move[0], renderElevation + TURN * move[1]);
      } else {
        this.niivue.moveCrosshairInVox(...move);
      }
    }

    /** Choose a scan by its place in the list, and bring the viewer into sight. */
    choose(number) {
      this.controls.scan.selectedIndex = number;
      this.root.scrollIntoView({ block: "nearest" });
      this.controls.scan.focus({ preventScroll: true });
      this.refresh();
    }

    async show() {
      const number = this.controls.scan.selectedIndex;
      const scan = this.data.scans[number];
      const [head, heatmap] = await Promise.all([scan.head, scan.heatmap].map((text) => text && unpacked(text)));
      const [image, evidence] = [await read(head), heatmap && (await this.coloured(heatmap))];
      if (number !== this.controls.scan.selectedIndex) return; // another one was chosen meanwhile
      while (this.niivue.volumes.length) this.niivue.removeVolume(this.niivue.volumes[0]);
      [this.shown, this.evidence] = [scan, evidence];
      this.niivue.addVolume(image);
      this.colour();
      if (evidence) this.niivue.addVolume(evidence.colours);
      this.describe(scan);
      this.cut();
      const left = this.niivue.mm2frac(scan.peak_mm, 0, true)[0] < 0.5;
      this.niivue.setRenderAzimuthElevation(left ? 110 : 250, 10); // towards the side of the peak
      this.goToPeak();
      this.find("note").hidden = true;
      this.root.dataset.shown = number;
    }

    /** Make an image that has a colour and an opacity for each level of a heatmap. */
    async coloured(file) {
      const levels = new Int8Array(file, HEADER);
      const colours = new Uint8Array(HEADER + 4 * levels.length);
      colours.set(new Uint8Array(file, 0, HEADER));
      const header = new DataView(colours.buffer);
      header.setInt16(70, 2304, true); // red, green, blue and opacity ...
      header.setInt16(72, 32, true); // ... in 32 bits, not scaled
      for (const [at, value] of [[112, 1], [116, 0], [124, 0], [128, 0]]) header.setFloat32(at, value, true);
      const [values, image] = [await read(file), await read(colours.buffer)];
      return { levels, values, colours: image };
    }

    /** Colour each voxel by its level: as in the pictures of the page, weak evidence leaves the anatomy visible. */
    colour() {
      if (!this.evidence) return;
      const [opacity, threshold] = ["opacity", "threshold"].map((control) => this.number(control) / 100);
      const table = new Uint8Array(4 * (2 * LEVELS + 1));
      for (let level = -LEVELS; level <= LEVELS; level += 1) {
        const [row, share] = [level + LEVELS, Math.abs(level) / LEVELS];
        const colour = parseInt(this.data.colours.slice(6 * row, 6 * row + 6), 16);
        const alpha = share > threshold ? 255 * opacity * share ** 0.7 : 0;
        table.set([colour >> 16, (colour >> 8) & 255, colour & 255, alpha], 4 * row);
      }
      const { levels, colours } = this.evidence;
      const [from, to] = [table, colours.img].map((array) => new Uint32Array(array.buffer));
      for (let voxel = 0; voxel < levels.length; voxel += 1) to[voxel] = from[levels[voxel] + LEVELS];
    }

    paint() {
      this.colour();
      this.niivue.updateGLVolume();
    }

    cut() {
      if (!this.data.renders) return;
      const depth = this.number("cut") / 100;
      this.niivue.setClipPlane(depth ? [0.5 - depth, ...CUTS[this.controls.side.value]] : [2, 0, 0]);
    }

    turn() {
      this.niivue.setRenderAzimuthElevation(this.number("turn"), this.niivue.scene.renderElevation);
    }

    lay() {
      this.niivue.opts.heroImageFraction = this.canvas.clientWidth > WIDE ? 0.45 : 0;
      this.niivue.drawScene();
    }

    goToPeak() {
      if (!this.shown) return;
      this.niivue.scene.crosshairPos = this.niivue.mm2frac(this.shown.peak_mm, 0, true);
      this.niivue.createOnLocationChange();
      this.niivue.drawScene();
    }

    /** Fill in the words that belong to a scan. */
    describe(scan) {
      const { evidence, controls } = this;
      this.find("caption").textContent = scan.caption;
      this.find("legend").hidden = !evidence;
      for (const control of [controls.peak, controls.opacity, controls.threshold]) control.disabled = !evidence;
      const words = { low: scan.signed ? scan.low : "none", high: scan.high };
      for (const word of this.root.querySelectorAll("[data-word]")) word.textContent = words[word.dataset.word];
      const signed = String(scan.signed);
      for (const ramp of this.root.querySelectorAll("[data-signed]")) ramp.hidden = ramp.dataset.signed !== signed;
    }

    /** Say where the crosshair is, and what is there. */
    tell(mm) {
      const step = (ends, axis) => `${Math.abs(mm[axis]).toFixed(1)} mm ${ends[mm[axis] < 0 ? 1 : 0]}`;
      let text = `Crosshair: ${ENDS.map(step).join(", ")}.`;
      if (this.evidence) {
        const { values } = this.evidence;
        const value = values.getValue(...values.mm2vox([...mm.slice(0, 3)]));
        const share = Math.round((100 * value) / this.shown.strongest);
        text += ` Heatmap there: ${share} % of the strongest.`;
      }
      this.find("place").textContent = text;
    }
  }

  // Without these two the note stays that says what is missing.
  if (!("DecompressionStream" in window && document.createElement("canvas").getContext("webgl2"))) return;
  const viewers = [...document.querySelectorAll(".viewer")].map((root, number) => new Viewer(root, number));
  for (const viewer of viewers) viewer.wait();
  const named = (name) => viewers.find((viewer) => viewer.names.includes(name));
  for (const button of document.querySelectorAll("[data-view][hidden]")) button.hidden = !named(button.dataset.view);
  document.addEventListener("click", (event) => {
    const chosen = event.target.closest("[data-view]");
    const viewer = chosen && named(chosen.dataset.view);
    if (viewer) viewer.choose(viewer.names.indexOf(chosen.dataset.view));
  });
})();
