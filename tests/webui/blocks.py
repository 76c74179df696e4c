"""gradio as far as an extension may use it: what 3.41 (reForge) and 4.40 (Forge) both take."""

from types import ModuleType

_PLACE = {"visible", "elem_id", "elem_classes"}
_FIELD = _PLACE | {"value", "label", "info", "every", "show_label", "container", "scale"}
_FIELD |= {"min_width", "interactive"}
_open = []  # the layouts whose `with` has begun, outermost first


class Block:
    """One thing on a page; it hangs itself into the layout that is open."""

    takes = _PLACE
    order = ()
    """Names of the arguments that may come without their names."""

    def __init__(self, *values, **options):
        options = {**dict(zip(self.order, values, strict=False)), **options}
        strange = set(options) - self.takes
        if strange or len(values) > len(self.order):
            raise TypeError(f"{type(self).__name__} does not take {strange or values}")
        self.value = self.label = self.info = None
        self.visible, self.events, self.children = True, [], []
        vars(self).update(options)
        self.parent = _open[-1] if _open else None
        if self.parent is not None:
            self.parent.children.append(self)

    @property
    def shown(self):
        """Whether it and all around it are visible."""
        return self.visible and (self.parent is None or self.parent.shown)

    def walk(self):
        """Yield it and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


class Layout(Block):
    """What others stand in."""

    def __enter__(self):
        _open.append(self)
        return self

    def __exit__(self, *_):
        assert _open.pop() is self


class Blocks(Layout):
    """A page."""

    takes = _PLACE | {"analytics_enabled"}


class Row(Layout):
    takes = _PLACE | {"variant", "equal_height"}


class Column(Layout):
    takes = _PLACE | {"scale", "min_width", "variant"}


class Group(Layout):
    pass


class Accordion(Layout):
    takes, order = _PLACE | {"label", "open"}, ("label",)


class Markdown(Block):
    takes, order = _PLACE | {"value", "rtl", "latex_delimiters"}, ("value",)


class HTML(Block):
    takes, order = _PLACE | {"value", "label", "every", "show_label"}, ("value",)


class Field(Block):
    """A component whose value reaches a function."""

    takes, order = _FIELD, ("value",)

    def change(self, fn=None, inputs=None, outputs=None, show_progress=None):
        """Call `fn` whenever the value changes."""
        if not _open:
            raise AttributeError("events belong into a page")
        self.events.append((fn, inputs, outputs))

    def choose(self, value):
        """Change the value as a user does, and do to the page what follows."""
        self.value = value
        for fn, inputs, outputs in self.events:
            given = inputs if isinstance(inputs, list) else [inputs]
            found = fn(*(item.value for item in given))
            places = outputs if isinstance(outputs, list) else [outputs]
            updates = found if len(places) > 1 else [found]
            for place, change in zip(places, updates, strict=True):
                vars(place).update({k: v for k, v in change.items() if k != "__type__"})


class Checkbox(Field):
    pass


class Textbox(Field):
    takes = _FIELD | {"lines", "max_lines", "placeholder", "type", "autofocus", "text_align", "rtl"}


class Number(Field):
    takes = _FIELD | {"precision", "minimum", "maximum", "step"}


class Slider(Field):
    takes = _FIELD | {"minimum", "maximum", "step", "randomize"}
    order = ("minimum", "maximum", "value")


class Dropdown(Field):
    takes = _FIELD | {"choices", "type", "multiselect", "allow_custom_value", "max_choices"}
    order = ("choices",)


class InputAccordion(Checkbox):
    """The WebUI's accordion whose being open is a value."""

    def __init__(self, value=None, **options):
        super().__init__(value, **options)
        self.accordion = Accordion(options.get("label"), open=value)

    def __enter__(self):
        self.accordion.__enter__()
        return self

    def __exit__(self, *error):
        self.accordion.__exit__(*error)


def update(**changes):
    """Return what changes a component."""
    return {"__type__": "update", **changes}


def module(tell):
    """Return the stand-in for the module `gradio`, whose toasts `tell` gets; no layout is open."""
    _open.clear()
    made = ModuleType("gradio")
    kinds = (Blocks, Row, Column, Group, Accordion, Markdown, HTML)
    kinds += (Checkbox, Textbox, Number, Slider, Dropdown)
    vars(made).update({kind.__name__: kind for kind in kinds}, update=update, Info=tell)
    return made
