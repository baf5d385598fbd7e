// The script of a compile worker, which the binary carries: see toolchain.h.
#pragma once

namespace peri::triton {

inline constexpr const char* kCompileWorker = R"(
# Compiles Triton kernels for a named target, one JSON line a request, one a reply.
import base64, importlib.util, json, linecache, os, shutil, sys, tempfile, traceback

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
cache = tempfile.mkdtemp(prefix="peri-triton-")
os.environ["TRITON_CACHE_DIR"] = cache
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
