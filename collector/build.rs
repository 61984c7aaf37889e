//! Lists the dashboard's built files, `web/dist`, for `src/web/assets.rs`. Without them the
//! program is built all the same, and its page says how to get them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let dist = web.join("dist");
    let mut table = String::from("[\n");
    if dist.join("index.html").is_file() {
        // Named from here: a build directory that was copied must not watch another source.
        println!("cargo:rerun-if-changed=web/dist");
        for folder in [dist.clone(), dist.join("assets")] {
            let mut files: Vec<PathBuf> =
                fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
            files.retain(|file| file.is_file() && file.extension().is_none_or(|e| e != "gz"));
            files.sort();
            for file in files {
                let path = file.strip_prefix(&dist).map_err(io::Error::other)?.display();
                let line = format!(
                    "Asset {{ path: \"/{path}\", content: include_bytes!({file:?}), \
                     gzip: include_bytes!(\"{}.gz\") }},\n",
                    file.display()
                );
                table.push_str(&line);
            }
        }
    } else {
        // Its parent, since a file that is missing would count as changed each time.
        println!("cargo:rerun-if-changed=web");
        let _always = writeln!(
            table,
            "Asset {{ path: \"/index.html\", content: include_bytes!({:?}), gzip: b\"\" }},",
            web.join("absent.html")
        );
    }
    table.push(']');
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("assets.rs"), table)
}
