// The script of a compile worker, which the binary carries: see toolchain.h. Its argument is the
// number of the process that it works for; TRITON_CACHE_DIR names a folder that is its own.
#pragma once

namespace peri::triton {

inline constexpr const char* kCompileWorker = R"(
# Compiles Triton kernels for a named target, one JSON line a request, one a reply.
import base64, importlib.util, json, linecache, os, shutil, signal, sys, threading, time, traceback

if sys.path and sys.path[0] == "":
    sys.path.pop(0)
replies = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what compilers print is no reply


def reply(**fields):
    replies.write(json.dumps(fields) + "\n")
    replies.flush()


if importlib.util.find_spec("triton") is None:
    reply(hello=True, missing=True, python=sys.version.split()[0])
    sys.exit(0)
cache = os.environ["TRITON_CACHE_DIR"]


def start_of(process):  # when it started; None: it has ended
    try:
        with open(f"/proc/{process}/stat") as file:
            fields = file.read().rsplit(") ", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


# A parent-death signal would come when the thread ends that started this, and a script between the
# two would get it. The end of the input comes late to a compiler that hangs, and not at all while a
# fork of the process lives.
def end_with(process):
    start = start_of(process)
    while start is not None and start_of(process) == start:
        time.sleep(0.5)
    shutil.rmtree(cache, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=end_with, args=[sys.argv[1]], daemon=True).start()
os.environ.pop("TRITON_INTERPRET", None)
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


def build(request):
    name = f"<kernel {request['id']}>"
    source = request["source"]
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    scope = {"__name__": "kernel"}
    exec(compile(source, name, "exec"), scope)
    function = scope[request["function"]]
    signature = dict(request["signature"])
    attributes = {(i,): [["tt.divisibility", 16]] for i in request["aligned"]}
    options = request["options"]
    vendor, arch, warp = request["target"]
    target = GPUTarget(vendor, int(arch) if vendor == "cuda" else arch, warp)
    made = triton.compile(ASTSource(function, signature, {}, attributes), target=target, options=options)
    linecache.cache.pop(name, None)
    meta = made.metadata
    kind = "cubin" if vendor == "cuda" else "hsaco"
    maps = getattr(meta, "tensordesc_meta", None) or []
    texts = {stage: made.asm[stage] for stage in request["texts"] if stage in made.asm}
    return {
        "name": meta.name,
        "format": kind,
        "binary": base64.b64encode(made.asm[kind]).decode(),
        "warps": meta.num_warps,
        "shared": meta.shared,
        "cluster": getattr(meta, "num_ctas", 1),
        "scratch": getattr(meta, "global_scratch_size", 0) or 0,
        "scratch_alignment": getattr(meta, "global_scratch_align", 1) or 1,
        "profile": getattr(meta, "profile_scratch_size", 0) or 0,
        "maps": [dict(m) if m else {} for m in maps],
        "texts": texts,
    }


reply(hello=True, version=triton.__version__)
try:
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply(ok=True, **build(request))
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            last = error.__cause__ or error
            text = f"{type(error).__name__}: {error}"
            if last is not error:
                text += f"\n{type(last).__name__}: {last}"
            reply(ok=False, error=text, trace=traceback.format_exc()[-4000:])
finally:
    shutil.rmtree(cache, ignore_errors=True)
)";

}  // namespace peri::triton
