// Runs the course's anywidget modules on a page that has no kernel: a model whose traits live in
// the page. Each module registers its source here, which is imported from a Blob, because a
// browser refuses to import a module file from a book that was opened from disk (file://).

(() => {
  class Model {
    constructor(state) {
      this.state = { ...state };
      this.listeners = new Map();
    }

    get(key) {
      return this.state[key];
    }

    set(key, value) {
      const changes = typeof key === "object" ? key : { [key]: value };
      const changed = Object.keys(changes).filter((name) => this.state[name] !== changes[name]);
      Object.assign(this.state, changes);
      for (const name of changed) this.emit(`change:${name}`, this, changes[name]);
      if (changed.length) this.emit("change", this);
    }

    on(events, callback) {
      for (const event of events.split(" ")) {
        if (!this.listeners.has(event)) this.listeners.set(event, new Set());
        this.listeners.get(event).add(callback);
      }
    }

    off(events, callback) {
      const names = events ? events.split(" ") : [...this.listeners.keys()];
      for (const name of names)
        if (callback) this.listeners.get(name)?.delete(callback);
        else this.listeners.delete(name);
    }

    emit(event, ...values) {
      for (const callback of [...(this.listeners.get(event) ?? [])]) callback(...values);
    }

    save_changes() {}

    send() {}
  }

  const sources = (window.gcWidgetSources ??= {});
  const modules = new Map();

  function imported(name) {
    if (!modules.has(name)) {
      if (!(name in sources)) throw new Error(`no widget module ${name}`);
      const blob = new Blob([sources[name], `\n//# sourceURL=${name}.js`], { type: "text/javascript" });
      modules.set(name, import(URL.createObjectURL(blob)));
    }
    return modules.get(name);
  }

  /** Both of anywidget's forms: `export default {initialize, render}` or a function that gives it. */
  async function mount(place) {
    const module = await imported(place.dataset.module);
    const widget = typeof module.default === "function" ? await module.default() : module.default;
    const model = new Model(JSON.parse(place.querySelector('script[type="application/json"]').textContent));
    const el = document.createElement("div");
    await widget.initialize?.({ model });
    await widget.render?.({ model, el });
    place.querySelector(".gc-still").replaceWith(el);
    place.dataset.alive = "true";
  }

  for (const place of document.querySelectorAll(".gc-widget[data-module]"))
    mount(place).catch((error) => console.error(`The widget ${place.dataset.module} stays still.`, error));
})();
