"""An untrusted certificate is called one, and ends the job at once: it does not pass by itself."""

import asyncio
import logging
import pathlib
import ssl
import subprocess
import sys
import tempfile

from aimusic_async import MusicSession, Settings, TokenBucket, sonic

logging.disable()


async def main(folder):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 1 -subj /CN=localhost"
    await asyncio.to_thread(subprocess.run, command.split(), cwd=folder, capture_output=True, check=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert", folder / "key")
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0, ssl=context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    settings = Settings(api_key="kkkkkkkk", base_url=url)
    async with MusicSession(settings=settings, limiter=TokenBucket(rate=50)) as music:
        job = music.submit(sonic.CreateMusic(prompt="x", mv="sonic-v5"))
        await asyncio.wait([asyncio.ensure_future(job.wait())], timeout=5)
        return str(job.exception())


with tempfile.TemporaryDirectory() as directory:
    text = asyncio.run(main(pathlib.Path(directory)))
print(text)
fault = "certificate" not in text.lower() or "not permitted" in text
print("FAULT: it does not say what is wrong" if fault else "OK")
sys.exit(fault)
