//! README.md lists what there is.

#[test]
fn the_readme_lists_every_setting_metric_and_reason() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let settings = http_demo::settings::command();
    for argument in settings.get_arguments().filter(|argument| argument.get_env().is_some()) {
        let flag = argument.get_long().unwrap();
        let variable = argument.get_env().unwrap().to_str().unwrap();
        let default = argument.get_default_values().first().map_or("", |value| value.to_str().unwrap());
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let row = format!("| `--{flag}` | `{variable}` | {default}");
        assert!(readme.contains(row.trim_end()), "{row}");
    }
    let metrics = http_demo::metrics::Metrics::new();
    metrics.answered("/", "GET", 200);
    let text = metrics.encode().unwrap();
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(readme.contains(&format!("| `{name}")), "{name}");
    }
    for reason in text.split("reason=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(readme.contains(&format!("| `{reason}` | ")), "{reason}");
    }
}
